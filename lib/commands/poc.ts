/** poc v1 [validate]: one round by hand. */
import type { Define } from './command.ts'
import { definePocV1 } from './poc-v1.ts'
import { definePocV1Validate } from './poc-v1-validate.ts'

export const define: Define = (command, run) => {
  const v1 = command
    .enablePositionalOptions() // `validate` has options of the same names as its parent
    .command('v1')
    .description('distances of a seeded transformer, one per nonce')
  definePocV1(v1, run)
  definePocV1Validate(v1.command('validate').description('recompute a batch and test it for fraud'), run)
}
