// The secret an epoch's claims are checked against: derived from a signature, so only the key holder knows it beforehand.

type Sign = (bytes: Uint8Array) => Uint8Array

function be64(value: bigint): Uint8Array {
  const out = new Uint8Array(8)
  new DataView(out.buffer).setBigUint64(0, BigInt.asUintN(64, value), false)
  return out
}

/** First 8 bytes of Sign(BE64(epoch)), big endian, top bit cleared; 0 becomes 1. */
export function epochSeed(sign: Sign, epoch: bigint): bigint {
  const signature = sign(be64(epoch))
  const seed = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0, false) & 0x7fffffffffffffffn
  return seed === 0n ? 1n : seed
}

/** The commitment to a seed: lower-case hex of Sign(BE64(seed)). */
export function seedSignature(sign: Sign, seed: bigint): string {
  return Buffer.from(sign(be64(seed))).toString('hex')
}

/** Blocks a host waits before claiming: spread over 1..500 by address; none when the gap to the next PoC is under 1000. */
export function claimDelayBlocks(addressDigest: Uint8Array, blocksToNextPoc: bigint): bigint {
  if (blocksToNextPoc < 1000n) return 0n
  const word = new DataView(addressDigest.buffer, addressDigest.byteOffset).getBigUint64(0, false)
  return (word % 500n) + 1n
}
