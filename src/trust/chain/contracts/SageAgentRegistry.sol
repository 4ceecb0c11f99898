// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721URIStorage} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";

/// @title The registry that Sage Gateway develops and tests on: the Identity Registry of ERC-8004.
/// @notice An agent is an ERC-721 token; its id is the token's. Its signing keys are metadata under `did/vm/<fragment>`:
/// flags (1 byte) || notAfter (8 bytes, big-endian unix seconds, 0 = never) || multicodec public key. An empty value revokes.
/// @dev There is no administrator, no upgrade and no burning: nobody but the owner of a token, or whom the owner
/// approved, can change what the gateway reads about it.
contract SageAgentRegistry is ERC721URIStorage {
    /// @notice One pair of on-chain metadata (ERC-8004, "On-chain metadata").
    struct MetadataEntry {
        string metadataKey;
        bytes metadataValue;
    }

    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);
    event MetadataSet(
        uint256 indexed agentId,
        string indexed indexedMetadataKey,
        string metadataKey,
        bytes metadataValue
    );
    event URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy);

    /// @notice The standard reserves `agentWallet` for a wallet that proved itself; this registry has no such proof.
    error ReservedMetadataKey();
    error BadMetadataKeyLength(uint256 length);
    error MetadataValueTooLong(uint256 length);
    error TooManyMetadataEntries(uint256 count);
    error URITooLong(uint256 length);

    /// @dev Every log of an agent is read whenever its keys are resolved, so its size is everybody's cost.
    uint256 public constant METADATA_KEY_BYTES_MAX = 96;
    /// @dev Room for an RSA-4096 multikey (about 540 bytes) with its flags and expiry.
    uint256 public constant METADATA_VALUE_BYTES_MAX = 1024;
    uint256 public constant METADATA_ENTRIES_MAX = 16;
    /// @dev Registration files may travel inside a `data:` URI.
    uint256 public constant URI_BYTES_MAX = 8192;

    bytes7 private constant KEY_SLOT_PREFIX = "did/vm/";
    bytes32 private constant AGENT_WALLET_KEY = keccak256("agentWallet");

    uint256 private _lastId;

    /// @dev How often a token changed hands. Key slots live under it, so that a sale empties them all at once.
    mapping(uint256 agentId => uint256) private _tenure;
    mapping(uint256 agentId => mapping(bytes32 slot => bytes)) private _metadata;

    constructor() ERC721("Sage Agent Registry", "SAGE") {}

    function register() external returns (uint256 agentId) {
        agentId = _mintAgent("");
        emit Registered(agentId, "", msg.sender);
    }

    function register(string calldata agentURI) external returns (uint256 agentId) {
        agentId = _mintAgent(agentURI);
        emit Registered(agentId, agentURI, msg.sender);
    }

    function register(
        string calldata agentURI,
        MetadataEntry[] calldata metadata
    ) external returns (uint256 agentId) {
        if (metadata.length > METADATA_ENTRIES_MAX) revert TooManyMetadataEntries(metadata.length);
        agentId = _mintAgent(agentURI);
        for (uint256 i = 0; i < metadata.length; ++i) {
            _setMetadata(agentId, metadata[i].metadataKey, metadata[i].metadataValue);
        }
        emit Registered(agentId, agentURI, msg.sender);
    }

    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external {
        _checkAuthorized(_ownerOf(agentId), msg.sender, agentId);
        _setMetadata(agentId, metadataKey, metadataValue);
    }

    /// @notice Empty for what was never set, was revoked, or was a key of a former owner.
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory) {
        return _metadata[agentId][_slot(agentId, metadataKey)];
    }

    function setAgentURI(uint256 agentId, string calldata newURI) external {
        _checkAuthorized(_ownerOf(agentId), msg.sender, agentId);
        if (bytes(newURI).length > URI_BYTES_MAX) revert URITooLong(bytes(newURI).length);
        _setTokenURI(agentId, newURI);
        emit URIUpdated(agentId, newURI, msg.sender);
    }

    /// @dev `_mint`, not `_safeMint`: the callback of the latter would hand control to a stranger in mid-registration.
    function _mintAgent(string memory agentURI) private returns (uint256 agentId) {
        if (bytes(agentURI).length > URI_BYTES_MAX) revert URITooLong(bytes(agentURI).length);
        agentId = ++_lastId;
        _mint(msg.sender, agentId);
        if (bytes(agentURI).length > 0) _setTokenURI(agentId, agentURI);
    }

    function _setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) private {
        uint256 keyLength = bytes(metadataKey).length;
        if (keyLength == 0 || keyLength > METADATA_KEY_BYTES_MAX) revert BadMetadataKeyLength(keyLength);
        if (metadataValue.length > METADATA_VALUE_BYTES_MAX) revert MetadataValueTooLong(metadataValue.length);
        if (keccak256(bytes(metadataKey)) == AGENT_WALLET_KEY) revert ReservedMetadataKey();
        _metadata[agentId][_slot(agentId, metadataKey)] = metadataValue;
        emit MetadataSet(agentId, metadataKey, metadataKey, metadataValue);
    }

    function _slot(uint256 agentId, string calldata metadataKey) private view returns (bytes32) {
        bytes calldata key = bytes(metadataKey);
        bool isKeySlot = key.length >= 7 && bytes7(key[:7]) == KEY_SLOT_PREFIX;
        return keccak256(abi.encode(isKeySlot ? _tenure[agentId] : 0, key));
    }

    /// @dev Metadata of the standard survives a sale; the seller's keys must not, for he still holds them.
    function _update(address to, uint256 tokenId, address auth) internal override returns (address from) {
        from = super._update(to, tokenId, auth);
        if (from != address(0)) ++_tenure[tokenId];
    }
}
