/** challenge serve | verify: fresh challenges for matmul-pow, and certificates of what answered them. */

import { defineChallengeServe } from './challenge-serve.ts'
import { defineChallengeVerify } from './challenge-verify.ts'
import type { Define } from './command.ts'

export const define: Define = (command, run) => {
  defineChallengeServe(command.command('serve').description('issue challenges over HTTP and certify their proofs'), run)
  defineChallengeVerify(command.command('verify').description('check a certificate, offline'), run)
}
