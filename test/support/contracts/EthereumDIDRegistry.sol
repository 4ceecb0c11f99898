// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// A registry of identities as ERC-1056 describes it, written from its text, for the tests. Transactions signed by
/// somebody else (`…Signed`) are left out: they emit the same events.
contract EthereumDIDRegistry {
  event DIDOwnerChanged(address indexed identity, address owner, uint256 previousChange);
  event DIDDelegateChanged(
    address indexed identity,
    bytes32 delegateType,
    address delegate,
    uint256 validTo,
    uint256 previousChange
  );
  event DIDAttributeChanged(
    address indexed identity,
    bytes32 name,
    bytes value,
    uint256 validTo,
    uint256 previousChange
  );

  error NotTheOwner();

  mapping(address identity => address owner) public owners;
  mapping(address identity => uint256 blockNumber) public changed;
  mapping(address => mapping(bytes32 => mapping(address => uint256 validTo))) public delegates;

  modifier onlyOwner(address identity) {
    if (identityOwner(identity) != msg.sender) revert NotTheOwner();
    _;
  }

  /// Whoever was never given away owns himself. So does one that was given to nobody.
  function identityOwner(address identity) public view returns (address) {
    address owner = owners[identity];
    return owner == address(0) ? identity : owner;
  }

  function validDelegate(address identity, bytes32 delegateType, address delegate) external view returns (bool) {
    return delegates[identity][delegateType][delegate] > block.timestamp;
  }

  function changeOwner(address identity, address newOwner) external onlyOwner(identity) {
    owners[identity] = newOwner;
    emit DIDOwnerChanged(identity, newOwner, changed[identity]);
    changed[identity] = block.number;
  }

  function addDelegate(
    address identity,
    bytes32 delegateType,
    address delegate,
    uint256 validity
  ) external onlyOwner(identity) {
    setDelegate(identity, delegateType, delegate, block.timestamp + validity);
  }

  /// Valid until now: that is how ERC-1056 takes a delegate away.
  function revokeDelegate(address identity, bytes32 delegateType, address delegate) external onlyOwner(identity) {
    setDelegate(identity, delegateType, delegate, block.timestamp);
  }

  function setAttribute(
    address identity,
    bytes32 name,
    bytes calldata value,
    uint256 validity
  ) external onlyOwner(identity) {
    emit DIDAttributeChanged(identity, name, value, block.timestamp + validity, changed[identity]);
    changed[identity] = block.number;
  }

  function revokeAttribute(address identity, bytes32 name, bytes calldata value) external onlyOwner(identity) {
    emit DIDAttributeChanged(identity, name, value, 0, changed[identity]);
    changed[identity] = block.number;
  }

  function setDelegate(address identity, bytes32 delegateType, address delegate, uint256 validTo) private {
    delegates[identity][delegateType][delegate] = validTo;
    emit DIDDelegateChanged(identity, delegateType, delegate, validTo, changed[identity]);
    changed[identity] = block.number;
  }
}
