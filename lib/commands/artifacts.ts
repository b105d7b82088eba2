/**
 * artifacts root | prove | verify: the commitment to the artifacts of a stage, and proofs that one of them is in it.
 *
 * JSON of root: {"count", "root" (hex), "depth"}. Of prove: {"count", "root", "depth", "leaf": {"index", "nonce",
 * "vector_b64"}, "proof": [hex]}, which is what verify reads. Of verify: {"valid", "reason" or null}.
 */
import { z } from 'zod'
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

const hexBytes = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * length}}$`))
const proofSchema = z.strictObject({
  count: z
    .number()
    .int()
    .min(1)
    .max(2 ** 32),
  root: hexBytes(32),
  depth: z.number().int().min(1).max(32),
  leaf: z.strictObject({
    index: z
      .number()
      .int()
      .min(0)
      .max(2 ** 32 - 1),
    nonce: z
      .number()
      .int()
      .min(-(2 ** 31))
      .max(2 ** 31 - 1),
    vector_b64: z.string().max(65_536),
  }),
  proof: z.array(hexBytes(36)).max(64),
})

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
    .option('--root <hex>', 'the root that is known otherwise; the proof must be of this one')
    .option('--count <n>', 'the count that is known otherwise', integer(1, 2 ** 32))
    .option(...jsonOption)
    .action(run(verify))
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

async function treeOf(path: string) {
  const [{ loadArtifactFile }, { decodeBase64 }, { emptySmst, smstInsert }] = await Promise.all([
    import('../protocol/artifact-file.ts'),
    import('../protocol/artifact-vector.ts'),
    import('../protocol/smst.ts'),
  ])
  const { artifacts } = await loadArtifactFile(path)
  let tree = emptySmst
  for (const [nonce, text] of artifacts) {
    const vector = decodeBase64(text)
    if (vector === undefined) throw new GonkaError('ERR_GK_BATCH', `${path}: the vector of nonce ${nonce} is no base64`)
    if (nonce >= 2 ** 32) throw new GonkaError('ERR_GK_BATCH', `${path}: nonce ${nonce} does not fit 32 bits`)
    const grown = smstInsert(tree, nonce, vector)
    if (grown === undefined) throw new GonkaError('ERR_GK_BATCH', `${path}: nonce ${nonce} is listed twice`)
    tree = grown
  }
  return tree
}

async function root(io: Io, path: string, options: { readonly json?: boolean }): Promise<number> {
  const { smstRoot } = await import('../protocol/smst.ts')
  const committed = smstRoot(await treeOf(path))
  const { count, depth } = committed
  if (options.json) writeJson(io, { count, root: hex(committed.root), depth })
  else io.out.write(`${hex(committed.root)}  ${count} artifacts, depth ${depth}\n`)
  return exitCodes.ok
}

async function prove(io: Io, path: string, options: ProveOptions): Promise<number> {
  const { smstIndexOf, smstProve, smstRoot } = await import('../protocol/smst.ts')
  const tree = await treeOf(path)
  const index = smstIndexOf(tree, options.nonce)
  const found = index === undefined ? undefined : smstProve(tree, index)
  if (found === undefined) throw new GonkaError('ERR_GK_NONCES', `${path} has no artifact of nonce ${options.nonce}`)
  const committed = smstRoot(tree)
  const { leaf, proof } = found
  if (options.json) {
    writeJson(io, {
      count: committed.count,
      root: hex(committed.root),
      depth: committed.depth,
      leaf: { index: leaf.index, nonce: leaf.nonce, vector_b64: Buffer.from(leaf.vector).toString('base64') },
      proof: proof.map(hex),
    })
  } else {
    io.out.write(`root  ${hex(committed.root)}\nleaf  ${leaf.index} of ${committed.count}, nonce ${leaf.nonce}\n`)
    for (const element of proof) io.out.write(`      ${hex(element)}\n`)
  }
  return exitCodes.ok
}

async function verify(io: Io, path: string, options: VerifyOptions): Promise<number> {
  const [{ readJson }, { smstVerify }, { decodeBase64 }, { describeIssues }] = await Promise.all([
    import('../files.ts'),
    import('../protocol/smst.ts'),
    import('../protocol/artifact-vector.ts'),
    import('../protocol/params.ts'),
  ])
  const parsed = proofSchema.safeParse(await readJson(path, 1 << 20))
  if (!parsed.success) throw new GonkaError('ERR_GK_BATCH', `${path}: ${describeIssues(parsed.error)}`)
  const { count, depth, leaf, proof } = parsed.data
  const vector = decodeBase64(leaf.vector_b64)
  if (vector === undefined) throw new GonkaError('ERR_GK_BATCH', `${path}: vector_b64 is no base64`)
  const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
  const problem =
    options.root !== undefined && options.root.toLowerCase() !== parsed.data.root
      ? `the proof is of root ${parsed.data.root}`
      : options.count !== undefined && options.count !== count
        ? `the proof is of ${count} artifacts`
        : smstVerify(
            { count, root: bytes(parsed.data.root), depth },
            { index: leaf.index, nonce: leaf.nonce, vector },
            proof.map(bytes),
          )
  if (options.json) {
    writeJson(io, { valid: problem === undefined, reason: problem ?? null })
  } else {
    const word = problem === undefined ? paint(io, io.out, 'green', 'VALID') : paint(io, io.out, 'red', 'NOT VALID')
    const known = options.root === undefined ? '; compare the root with the one committed on chain' : ''
    io.out.write(
      problem === undefined
        ? `${word}: nonce ${leaf.nonce} is artifact ${leaf.index} of ${count} under ${parsed.data.root}${known}\n`
        : `${word}: ${problem}\n`,
    )
  }
  return problem === undefined ? exitCodes.ok : exitCodes.failed
}
