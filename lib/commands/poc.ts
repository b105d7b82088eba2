/** poc v1 [validate], poc v2 [validate]: one round by hand. poc diff: two engines' artifacts side by side. */
import type { Define } from './command.ts'
import { definePocDiff } from './poc-diff.ts'
import { definePocV1 } from './poc-v1.ts'
import { definePocV1Validate } from './poc-v1-validate.ts'
import { definePocV2 } from './poc-v2.ts'
import { definePocV2Validate } from './poc-v2-validate.ts'

export const define: Define = (command, run) => {
  const v1 = command
    .enablePositionalOptions() // `validate` has options of the same names as its parent
    .command('v1')
    .description('distances of a seeded transformer, one per nonce')
  definePocV1(v1, run)
  definePocV1Validate(v1.command('validate').description('recompute a batch and test it for fraud'), run)
  const v2 = command.command('v2').description('artifacts of a served model, one per nonce')
  definePocV2(v2, run)
  definePocV2Validate(v2.command('validate').description('recompute artifacts and test them for fraud'), run)
  definePocDiff(command.command('diff').description('how far apart, and where, two files of artifacts are'), run)
}
