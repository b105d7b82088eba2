/** Jobs of one tile per nonce, of which every other one wins: what the lying backend is given. A thousand nonces hold more than enough. */
import { publicKeyOf } from '../../lib/chain/keys.ts'
import type { MatmulPowRunJob } from '../../lib/native-api.ts'
import { targetFor } from '../../lib/protocol/matmul-pow.ts'
import { privateKey } from '../proof/samples.ts'

export const lyingRounds = 8

export const lyingJob = (round: number): MatmulPowRunJob => ({
  profile: 'i8',
  m: 64,
  n: 64,
  k: 256,
  shares: 450,
  target: targetFor(0.5),
  challenge: new Uint8Array(32).fill(round),
  publicKey: publicKeyOf(privateKey),
})
