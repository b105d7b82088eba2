/** The statement of matmul-pow as a message. */
import { type MatmulPowProfile, matmulPowProfiles, maxShares } from '../protocol/matmul-pow.ts'
import type { MatmulPowStatement } from './payload.ts'
import { exactBytes, integer, list, long, type Message, number, unreadable, withoutDefaults } from './wire.ts'

export function wireMatmulPow(statement: MatmulPowStatement): object {
  const { kind, profile, nonces, bi, bj, ...rest } = statement
  return withoutDefaults({
    ...rest,
    profile: matmulPowProfiles[profile],
    nonces: Array.from(nonces, long),
    bi: Array.from(bi),
    bj: Array.from(bj),
  })
}

export function readMatmulPow(message: Message): MatmulPowStatement {
  const wanted = number(message, 'profile')
  const profile = (Object.keys(matmulPowProfiles) as MatmulPowProfile[]).find(
    (name) => matmulPowProfiles[name] === wanted,
  )
  if (profile === undefined) throw unreadable(`matmul-pow profile ${wanted} is neither 1 (i8) nor 2 (i4)`)
  const [nonces, bi, bj] = [list(message, 'nonces'), list(message, 'bi'), list(message, 'bj')]
  if (nonces.length > maxShares) throw unreadable(`${nonces.length} shares; at most ${maxShares} are accepted`)
  if (nonces.length !== bi.length || nonces.length !== bj.length) {
    throw unreadable(`${nonces.length} nonces, but ${bi.length} and ${bj.length} tile positions`)
  }
  return {
    kind: 'matmul_pow',
    profile,
    m: number(message, 'm'),
    n: number(message, 'n'),
    k: number(message, 'k'),
    shares: number(message, 'shares'),
    target: exactBytes(message, 'target', 32),
    challenge: exactBytes(message, 'challenge', 32),
    publicKey: exactBytes(message, 'publicKey', 33),
    nonces: BigUint64Array.from(nonces, integer),
    bi: Uint32Array.from(bi as number[]),
    bj: Uint32Array.from(bj as number[]),
  }
}
