/** Jobs of one tile per nonce, of which every other one wins: what the lying backend is given. */
import { publicKeyOf } from '../../lib/chain/keys.ts'
import type { MatmulPowRunJob } from '../../lib/native-api.ts'
import { targetFor } from '../../lib/protocol/matmul-pow.ts'
import { privateKey } from '../proof/samples.ts'

export const lyingRounds = 16
/** Hold more shares than a job needs, and are no divisor of the thousand calls between two stale ones. */
export const lyingNonces = 900

export const lyingJob = (round: number): MatmulPowRunJob => ({
  profile: 'i8',
  m: 64,
  n: 64,
  k: 256,
  shares: 400,
  target: targetFor(0.5),
  challenge: new Uint8Array(32).fill(round),
  publicKey: publicKeyOf(privateKey),
})
