/** Nonce lists as people write them: "0-63,2147483647". Ranges include both ends. */
import { GonkaError } from '../errors.ts'
import { maxNonce } from './partition.ts'

/** More than a day of the fastest machine; keeps a typing error from filling the memory. */
export const maxNonceCount = 16_777_216

/** Nonces in the order written. Throws ERR_GK_NONCES for anything but distinct numbers and ranges within 0..2^53-1. */
export function parseNonceList(text: string): BigInt64Array {
  if (text.length > 1_000_000)
    throw new GonkaError('ERR_GK_NONCES', 'the nonce list is longer than 1,000,000 characters')
  const ranges: { first: bigint; last: bigint }[] = []
  let count = 0n
  for (const part of text.split(',')) {
    const match = /^\s*(\d{1,16})(?:-(\d{1,16}))?\s*$/.exec(part)
    if (!match) throw syntaxError(part)
    const first = BigInt(match[1] as string)
    const last = match[2] === undefined ? first : BigInt(match[2])
    if (last > maxNonce || first > maxNonce) {
      throw new GonkaError('ERR_GK_NONCES', `nonce ${last > first ? last : first} is above 2^53-1 = ${maxNonce}`)
    }
    if (last < first) {
      throw new GonkaError('ERR_GK_NONCES', `range ${first}-${last} runs backwards; write ${last}-${first}`)
    }
    count += last - first + 1n
    if (count > BigInt(maxNonceCount)) {
      throw new GonkaError(
        'ERR_GK_NONCES',
        `the list holds more than ${maxNonceCount} nonces; split it into several runs`,
      )
    }
    ranges.push({ first, last })
  }
  const sorted = ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  for (let i = 1; i < sorted.length; i++) {
    const [before, after] = [sorted[i - 1], sorted[i]] as [(typeof sorted)[number], (typeof sorted)[number]]
    if (after.first <= before.last) {
      throw new GonkaError('ERR_GK_NONCES', `nonce ${after.first} is listed twice; each nonce may be given once`)
    }
  }
  const nonces = new BigInt64Array(Number(count))
  let at = 0
  for (const { first, last } of ranges) for (let nonce = first; nonce <= last; nonce++) nonces[at++] = nonce
  return nonces
}

function syntaxError(part: string): GonkaError {
  const shown = JSON.stringify(part.length > 40 ? `${part.slice(0, 40)}...` : part)
  return new GonkaError(
    'ERR_GK_NONCES',
    `${shown} is neither a nonce nor a range; expected numbers and ranges separated by commas, as in 0-63,2147483647`,
  )
}
