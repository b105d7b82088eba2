// Protobuf messages of the chain that a host signs or reads. Field numbers are the network's; see the protocol's message
// tables. Values are plain objects with the proto field names; 64-bit integers are bigint.

import protobuf from 'protobufjs'

const source = `
syntax = "proto3";
package inference.inference;
message Decimal { int64 value = 1; int32 exponent = 2; }
message MsgSubmitNewParticipant { string creator = 1; string url = 2; string validator_key = 3; string worker_key = 4; }
message MsgSubmitNewUnfundedParticipant {
  string creator = 1; string address = 2; string url = 3; string pub_key = 4; string validator_key = 5;
  string worker_key = 6;
}
message PoCArtifactV2 { int32 nonce = 1; bytes vector = 2; }
message PoCV2CommitEntry { string model_id = 1; uint32 count = 2; bytes root_hash = 3; }
message MsgPoCV2StoreCommit {
  string creator = 1; int64 poc_stage_start_block_height = 2; uint32 count = 3; bytes root_hash = 4;
  repeated PoCV2CommitEntry entries = 5;
}
message MLNodeWeight { string node_id = 1; uint32 weight = 2; }
message MLNodeDistributionEntry { string model_id = 1; repeated MLNodeWeight weights = 2; }
message MsgMLNodeWeightDistribution {
  string creator = 1; int64 poc_stage_start_block_height = 2; repeated MLNodeWeight weights = 3;
  repeated MLNodeDistributionEntry entries = 4;
}
message PoCValidationEntryV2 { string participant_address = 1; int64 validated_weight = 2; string model_id = 3; }
message MsgSubmitPocValidationsV2 {
  string creator = 1; int64 poc_stage_start_block_height = 2; repeated PoCValidationEntryV2 validations = 3;
}
message MsgSubmitPocBatch {
  string creator = 1; int64 poc_stage_start_block_height = 2; string batch_id = 3; repeated int64 nonces = 4;
  repeated double dist = 5; string node_id = 6;
}
message MsgSubmitSeed { string creator = 1; uint64 epoch_index = 2; string signature = 3; }
message MsgClaimRewards { string creator = 1; int64 seed = 2; uint64 epoch_index = 3; }
message ClaimRecipientEntry { uint64 epoch = 1; string recipient = 2; }
message MsgSetClaimRecipients { string creator = 1; repeated ClaimRecipientEntry entries = 2; }
enum HardwareNodeStatus { UNKNOWN = 0; INFERENCE = 1; POC = 2; TRAINING = 3; STOPPED = 4; FAILED = 5; }
message Hardware { string type = 1; uint32 count = 2; }
message HardwareNode {
  string local_id = 1; HardwareNodeStatus status = 2; repeated string models = 3; repeated Hardware hardware = 4;
  string host = 5; string port = 6; string version = 7;
}
message MsgSubmitHardwareDiff { string creator = 1; repeated HardwareNode newOrModified = 2; repeated HardwareNode removed = 3; }
message MsgSetPoCDelegation { string sender = 1; string model_id = 2; string delegate_to = 3; }
message MsgRefusePoCDelegation { string sender = 1; string model_id = 2; }
message MsgDeclarePoCIntent { string sender = 1; string model_id = 2; }
`

const cosmosSources = [
  `syntax = "proto3"; package google.protobuf;
   message Any { string type_url = 1; bytes value = 2; }
   message Timestamp { int64 seconds = 1; int32 nanos = 2; }`,
  `syntax = "proto3"; package cosmos.base.v1beta1; message Coin { string denom = 1; string amount = 2; }`,
  `syntax = "proto3"; package cosmos.crypto.secp256k1; message PubKey { bytes key = 1; }`,
  `syntax = "proto3"; package cosmos.authz.v1beta1;
   message MsgExec { string grantee = 1; repeated google.protobuf.Any msgs = 2; }
   message GenericAuthorization { string msg = 1; }
   message Grant { google.protobuf.Any authorization = 1; google.protobuf.Timestamp expiration = 2; }
   message MsgGrant { string granter = 1; string grantee = 2; Grant grant = 3; }`,
  `syntax = "proto3"; package cosmos.feegrant.v1beta1;
   message BasicAllowance { repeated cosmos.base.v1beta1.Coin spend_limit = 1; google.protobuf.Timestamp expiration = 2; }
   message MsgGrantAllowance { string granter = 1; string grantee = 2; google.protobuf.Any allowance = 3; }`,
  `syntax = "proto3"; package cosmos.tx.v1beta1;
   message TxBody {
     repeated google.protobuf.Any messages = 1; string memo = 2; uint64 timeout_height = 3; bool unordered = 4;
     google.protobuf.Timestamp timeout_timestamp = 5;
   }
   enum SignMode { SIGN_MODE_UNSPECIFIED = 0; SIGN_MODE_DIRECT = 1; }
   message ModeInfoSingle { SignMode mode = 1; }
   message ModeInfo { ModeInfoSingle single = 1; }
   message SignerInfo { google.protobuf.Any public_key = 1; ModeInfo mode_info = 2; uint64 sequence = 3; }
   message Fee { repeated cosmos.base.v1beta1.Coin amount = 1; uint64 gas_limit = 2; string payer = 3; string granter = 4; }
   message AuthInfo { repeated SignerInfo signer_infos = 1; Fee fee = 2; }
   message SignDoc { bytes body_bytes = 1; bytes auth_info_bytes = 2; string chain_id = 3; uint64 account_number = 4; }
   message TxRaw { bytes body_bytes = 1; bytes auth_info_bytes = 2; repeated bytes signatures = 3; }`,
]

let parsed: protobuf.Root | undefined

function types(): protobuf.Root {
  if (parsed === undefined) {
    parsed = new protobuf.Root()
    for (const text of [...cosmosSources, source]) protobuf.parse(text, parsed, { keepCase: true })
    parsed.resolveAll()
  }
  return parsed
}

/** A message's fields; 64-bit integers as bigint, bytes as Uint8Array, enums by number. */
export type Fields = { readonly [name: string]: unknown }

export interface Any {
  readonly type_url: string
  readonly value: Uint8Array
}

// proto3 omits fields that hold their default, and protobufjs knows 64-bit integers only as {low, high}.
function prepared(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const wide = BigInt.asUintN(64, value)
    return { low: Number(BigInt.asIntN(32, wide)), high: Number(BigInt.asIntN(32, wide >> 32n)), unsigned: value >= 0n }
  }
  if (value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(prepared)
  if (typeof value === 'object' && value !== null) {
    const kept = Object.entries(value).filter(([, v]) => !isDefault(v))
    return Object.fromEntries(kept.map(([k, v]) => [k, prepared(v)]))
  }
  return value
}

function isDefault(value: unknown): boolean {
  return (
    value === undefined ||
    value === '' ||
    value === 0 ||
    value === 0n ||
    value === false ||
    ((value instanceof Uint8Array || Array.isArray(value)) && value.length === 0)
  )
}

/** Encodes a message given by its full name ("inference.inference.MsgSubmitSeed"). Canonical proto3. A field name that the
 *  message does not have throws: it would be lost silently otherwise. */
export function encodeMessage(name: string, fields: Fields): Uint8Array {
  const type = types().lookupType(name)
  for (const key of Object.keys(fields)) {
    if (type.fields[key] === undefined) throw new RangeError(`${name} has no field ${key}`)
  }
  return type.encode(prepared(fields) as Record<string, unknown>).finish()
}

export function packAny(name: string, fields: Fields): Any {
  return { type_url: `/${name}`, value: encodeMessage(name, fields) }
}

/** Decodes to plain JSON-able data: 64-bit integers as strings, bytes as base64, enums by name, nested Any opened. An Any
 *  of unknown type keeps its base64 value. */
export function decodeMessage(name: string, bytes: Uint8Array): Record<string, unknown> {
  const type = types().lookupType(name)
  const plain = type.toObject(type.decode(bytes), { longs: String, bytes: String, enums: String })
  return opened(plain) as Record<string, unknown>
}

function opened(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(opened)
  if (typeof value !== 'object' || value === null) return value
  const { type_url, value: packed } = value as { type_url?: unknown; value?: unknown }
  if (typeof type_url === 'string' && typeof packed === 'string') {
    const name = type_url.slice(1)
    if (types().lookup(name) instanceof protobuf.Type) {
      return { '@type': type_url, ...decodeMessage(name, Buffer.from(packed, 'base64')) }
    }
    return { '@type': type_url, value: packed }
  }
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, opened(v)]))
}
