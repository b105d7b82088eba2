/**
 * artifacts root | prove | verify: the commitment to the artifacts of a stage, and proofs that one of them is in it.
 *
 * JSON of root: {"count", "root" (hex), "depth"}. Of prove: {"count", "root", "depth", "leaf": {"index", "nonce",
 * "vector_b64"}, "proof": [hex]}, which is what verify reads. Of verify: {"valid", "reason" or null}.
 */
import { InvalidArgumentError } from 'commander'
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { paint } from '../terminal.ts'
import { type Define, integer, jsonOption } from './command.ts'

interface ProveOptions {
  readonly nonce: number
  readonly json?: boolean
}

interface VerifyOptions {
  readonly root?: string
  readonly count?: number
  readonly json?: boolean
}

export const define: Define = (command, run) => {
  command
    .command('root')
    .description('what a node commits to on chain')
    .argument('<file>', 'artifacts as `poc v2 --json` prints them')
    .option(...jsonOption)
    .action(run(root))
  command
    .command('prove')
    .description('prove that one artifact is in the commitment')
    .argument('<file>', 'artifacts as `poc v2 --json` prints them')
    .requiredOption('--nonce <n>', 'whose artifact', integer(0, 2 ** 32 - 1))
    .option(...jsonOption)
    .action(run(prove))
  command
    .command('verify')
    .description('check such a proof; exit code 1 if it is wrong')
    .argument('<file>', 'a proof as `artifacts prove --json` prints it')
    .option('--root <hex>', 'the root that is known otherwise; the proof must be of this one', rootHex)
    .option('--count <n>', 'the count that is known otherwise', integer(1, 2 ** 32))
    .option(...jsonOption)
    .action(run(verify))
}

function rootHex(text: string): string {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError('Expected 64 hexadecimal digits.')
  return text
}

async function treeOf(path: string) {
  const [{ loadArtifactFile }, { artifactTree }] = await Promise.all([
    import('../protocol/artifact-file.ts'),
    import('../protocol/artifact-proof.ts'),
  ])
  return artifactTree(await loadArtifactFile(path), path)
}

async function root(io: Io, path: string, options: { readonly json?: boolean }): Promise<number> {
  const { smstRoot } = await import('../protocol/smst.ts')
  const committed = smstRoot(await treeOf(path))
  const { count, depth } = committed
  const text = Buffer.from(committed.root).toString('hex')
  if (options.json) writeJson(io, { count, root: text, depth })
  else io.out.write(`${text}  ${count} artifacts, depth ${depth}\n`)
  return exitCodes.ok
}

async function prove(io: Io, path: string, options: ProveOptions): Promise<number> {
  const { formatInclusion, proveArtifact } = await import('../protocol/artifact-proof.ts')
  const found = proveArtifact(await treeOf(path), options.nonce)
  if (found === undefined) throw new GonkaError('ERR_GK_NONCES', `${path} has no artifact of nonce ${options.nonce}`)
  const shown = formatInclusion(found)
  if (options.json) {
    writeJson(io, shown)
  } else {
    io.out.write(`root  ${shown.root}\nleaf  ${shown.leaf.index} of ${shown.count}, nonce ${shown.leaf.nonce}\n`)
    for (const element of shown.proof) io.out.write(`      ${element}\n`)
  }
  return exitCodes.ok
}

async function verify(io: Io, path: string, options: VerifyOptions): Promise<number> {
  const [{ readJson }, { formatInclusion, inclusionProblem, parseInclusion }] = await Promise.all([
    import('../files.ts'),
    import('../protocol/artifact-proof.ts'),
  ])
  const inclusion = parseInclusion(await readJson(path, 1 << 20), path)
  const problem = inclusionProblem(inclusion, options)
  if (options.json) {
    writeJson(io, { valid: problem === undefined, reason: problem ?? null })
  } else {
    const word = problem === undefined ? paint(io, io.out, 'green', 'VALID') : paint(io, io.out, 'red', 'NOT VALID')
    const known = options.root === undefined ? '; compare the root with the one committed on chain' : ''
    const { count, leaf, root } = formatInclusion(inclusion)
    io.out.write(
      problem === undefined
        ? `${word}: nonce ${leaf.nonce} is artifact ${leaf.index} of ${count} under ${root}${known}\n`
        : `${word}: ${problem}\n`,
    )
  }
  return problem === undefined ? exitCodes.ok : exitCodes.failed
}
