// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// A registry that looks like the one did:sage agents of the first generations stand in, and has its four holes, so
/// that the tests can fall into them. Stakes, delays and commitments are left out.
contract AgentCardRegistry {
  struct AgentMetadata {
    string did;
    string name;
    string description;
    string endpoint;
    bytes32[] keyHashes;
    string capabilities;
    address owner;
    uint256 registeredAt;
    uint256 updatedAt;
    bool active;
    uint256 chainId;
    bytes kemPublicKey;
  }

  struct AgentKey {
    uint8 keyType;
    bytes keyData;
    bytes signature;
    bool verified;
    uint256 registeredAt;
  }

  event AgentRegistered(bytes32 indexed agentId, string indexed did, address indexed owner, uint256 timestamp);
  event KeyAdded(bytes32 indexed agentId, bytes32 indexed keyHash, uint8 keyType, uint256 timestamp);
  event KeyRevoked(bytes32 indexed agentId, bytes32 indexed keyHash, uint256 timestamp);
  event AgentUpdated(bytes32 indexed agentId, uint256 timestamp);
  event AgentActivated(bytes32 indexed agentId, uint256 timestamp);
  event AgentDeactivatedByHash(bytes32 indexed agentId, uint256 timestamp);
  event AgentDeactivated(string indexed did, address indexed owner);

  error NotTheOwner();
  error Refused();

  uint8 private constant ED25519 = 1;

  mapping(string did => bytes32) public didToAgentId;
  mapping(bytes32 agentId => AgentMetadata) private agents;
  mapping(bytes32 keyHash => AgentKey) private keys;

  modifier onlyOwner(bytes32 agentId) {
    if (agents[agentId].owner != msg.sender) revert NotTheOwner();
    _;
  }

  function getAgentByDID(string calldata did) external view returns (AgentMetadata memory) {
    return agents[didToAgentId[did]];
  }

  function getKey(bytes32 keyHash) external view returns (AgentKey memory) {
    return keys[keyHash];
  }

  function register(
    string calldata did,
    uint8[] calldata keyTypes,
    bytes[] calldata keyData,
    bytes[] calldata proofs
  ) external returns (bytes32 agentId) {
    if (didToAgentId[did] != 0) revert Refused();
    agentId = keccak256(abi.encodePacked(did, msg.sender, block.timestamp));
    didToAgentId[did] = agentId;
    AgentMetadata storage agent = agents[agentId];
    agent.did = did;
    agent.owner = msg.sender;
    agent.registeredAt = block.timestamp;
    agent.chainId = block.chainid;
    for (uint256 i = 0; i < keyTypes.length; i++) putKey(agentId, keyTypes[i], keyData[i], proofs[i]);
    emit AgentRegistered(agentId, did, msg.sender, block.timestamp);
  }

  function addKey(
    bytes32 agentId,
    uint8 keyType,
    bytes calldata keyData,
    bytes calldata proof
  ) external onlyOwner(agentId) {
    putKey(agentId, keyType, keyData, proof);
  }

  /// Hole: nobody asks whose key it is. Hole: the last key takes the place of the revoked one.
  function revokeKey(bytes32 agentId, bytes32 keyHash) external onlyOwner(agentId) {
    bytes32[] storage hashes = agents[agentId].keyHashes;
    for (uint256 i = 0; i < hashes.length; i++) {
      if (hashes[i] == keyHash) {
        hashes[i] = hashes[hashes.length - 1];
        hashes.pop();
        break;
      }
    }
    keys[keyHash].verified = false;
    emit KeyRevoked(agentId, keyHash, block.timestamp);
  }

  /// Hole: anybody may, also after the owner deactivated.
  function activateAgent(bytes32 agentId) external {
    if (agents[agentId].owner == address(0) || agents[agentId].active) revert Refused();
    agents[agentId].active = true;
    emit AgentActivated(agentId, block.timestamp);
  }

  function updateAgent(bytes32 agentId, string calldata endpoint) external onlyOwner(agentId) {
    agents[agentId].endpoint = endpoint;
    emit AgentUpdated(agentId, block.timestamp);
  }

  function deactivateAgentByHash(bytes32 agentId) external onlyOwner(agentId) {
    agents[agentId].active = false;
    emit AgentDeactivatedByHash(agentId, block.timestamp);
  }

  function deactivateAgent(string calldata did) external onlyOwner(didToAgentId[did]) {
    agents[didToAgentId[did]].active = false;
    emit AgentDeactivatedByHash(didToAgentId[did], block.timestamp);
    emit AgentDeactivated(did, msg.sender);
  }

  /// Hole: of the proof for an Ed25519 key only the length is looked at.
  function putKey(bytes32 agentId, uint8 keyType, bytes calldata keyData, bytes calldata proof) private {
    bytes32 keyHash = keccak256(keyData);
    if (keys[keyHash].registeredAt != 0) revert Refused();
    if (keyType == ED25519 && proof.length != 64) revert Refused();
    keys[keyHash] = AgentKey(keyType, keyData, proof, true, block.timestamp);
    agents[agentId].keyHashes.push(keyHash);
    emit KeyAdded(agentId, keyHash, keyType, block.timestamp);
  }
}
