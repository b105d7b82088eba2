/**
 * The file that `bench --json` writes and `compare` and `report` read. This schema is its description; `gonka-miner bench
 * --schema` prints it as JSON Schema. Keys stay and keep their meaning within a version; new ones may be added, so readers
 * ignore keys they do not know. Times are nanoseconds, rates per second, numbers that are not known null.
 */
import { z } from 'zod'
import { GonkaError } from '../errors.ts'
import { readJson } from '../files.ts'
import { toJson } from '../json.ts'
import { describeIssues } from '../protocol/params.ts'
import { type BenchReport, resultVersion } from './bench.ts'
import { overheads } from './overhead.ts'

const schemaName = 'gonka-bench'
/** Largest file accepted: a million samples take about 20 MB. */
const fileLimit = 256 << 20

const amount = z.number().min(0)
const amountOrNull = amount.nullable()
const text = z.string().max(10_000)

const load = z
  .object({
    seconds: amount,
    other_cpus: amountOrNull.describe("processors' worth of time that other processes used"),
    stolen_cpus: amountOrNull.describe("processors' worth of time that the hypervisor withheld"),
    throttled: amountOrNull.describe('times a processor was slowed down for heat'),
    reported_ghz: amountOrNull.describe('mean clock that the system reports'),
  })
  .describe('what else went on meanwhile')

const figure = z.object({
  name: text.describe('unique in the file; the same problem has the same name in every file'),
  suite: text,
  device: text,
  threads: amount.describe('worker threads of a CPU device, else 0'),
  implementation: text.nullable(),
  skipped: text.nullable().describe('why nothing ran; the numbers are then 0 or null'),
  operations: amount.describe('of one call, counted in unit; a multiply-accumulate is two flops'),
  unit: text.describe('flop, op, hash, value or nonce'),
  bytes: amount.describe('what one call must at least read and write'),
  samples: amount,
  median_ns: amountOrNull,
  interval_ns: z
    .object({ low: amountOrNull, high: amountOrNull })
    .describe("of the median at the method's confidence, widened for autocorrelation"),
  min_ns: amountOrNull,
  spread: amountOrNull.describe('interquartile range over the median'),
  rate: amountOrNull.describe('unit per second at the median'),
  bytes_per_second: amountOrNull,
  ceiling: z
    .object({ bound: z.enum(['compute', 'memory']), fraction: amount })
    .nullable()
    .describe('what measured limit holds, and the share of it that was reached'),
  stopped_by: z.enum(['precision', 'time', 'samples']).nullable().describe('what ended the sampling'),
  warm_up: z.object({ calls: amount, seconds: amount, stable: z.boolean() }).nullable(),
  blocks: z.array(z.array(amount)).describe('raw samples in order, ns of one call (poc: of one nonce), by block'),
  fresh_operands: z.boolean().describe('every block had operands of its own'),
  load: load.nullable(),
  energy: z.object({
    joules_per_operation: amountOrNull,
    source: text.describe('how it was read and how exact that is, or: not available, and why'),
  }),
})

const calibration = z.object({
  device: text,
  at: amount.describe('seconds since the run began'),
  threads: amount,
  f32_gflops: amount.describe('register-only fused multiply-adds, all threads; 0 where there is no such unit'),
  bf16_gflops: amount,
  i8_gops: amount,
  sha_mblocks_per_s: amount,
  copy_gb_per_s: amount.describe('read plus written'),
  clock_ghz: amount.describe('of one processor at work, by a chain of multiplications'),
})

export const resultSchema = z.object({
  schema: z.literal(schemaName),
  version: z.literal(resultVersion),
  created: z.iso.datetime(),
  tool: text,
  machine: z.object({
    cpu_model: text,
    logical_cpus: amount,
    usable_cpus: amount,
    memory_gib: amount,
    cache_mib: amount,
    kernel: text,
    governor: text.nullable(),
    boost: z.boolean().nullable(),
    instruction_counter: text,
  }),
  devices: z.array(
    z.object({
      id: text,
      name: text,
      arch: text,
      driver: text,
      threads: amount,
      backend: text,
      backend_version: text,
      sha256: text.describe('of the backend library, or of the addon for the CPU'),
    }),
  ),
  cpus: z.array(amount).describe('processors the process was confined to; empty: all it may use'),
  method: z.object({
    seconds: amount,
    samples: amount,
    cold: z.boolean(),
    confidence: amount,
    precision: amount,
    blocks: amount,
  }),
  calibrations: z.array(calibration).describe('before, between and after the cases; empty on devices that are no CPU'),
  load,
  figures: z.array(figure),
  overheads: z
    .array(z.object({ name: text, beside: text, fraction: z.number(), low: z.number(), high: z.number() }))
    .optional()
    .describe("matmul_pow's time more than that of the gemm of its shape, as a fraction, where both ran"),
})

export type ResultFile = z.infer<typeof resultSchema>
export type ResultFigure = ResultFile['figures'][number]
export type ResultCalibration = ResultFile['calibrations'][number]

/** A report in the form of the file. NaN becomes null, as JSON has it. */
export function toResultFile(report: BenchReport): ResultFile {
  const { version, ...rest } = toJson(report) as Record<string, unknown>
  return JSON.parse(
    JSON.stringify({ schema: schemaName, version, ...rest, overheads: overheads(report.figures) }),
  ) as ResultFile
}

/** Reads and checks a file. Throws ERR_GK_FILE where it cannot be read, ERR_GK_USAGE where it is something else. */
export async function readResultFile(path: string): Promise<ResultFile> {
  return parseResult(await readJson(path, fileLimit), path)
}

export function parseResult(value: unknown, origin: string): ResultFile {
  const { schema, version } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  if (schema !== schemaName)
    throw new GonkaError('ERR_GK_USAGE', `${origin} is not a result of bench --json: "schema" is not "${schemaName}"`)
  if (version !== resultVersion)
    throw new GonkaError(
      'ERR_GK_USAGE',
      `${origin} has version ${JSON.stringify(version)} of the form; expected ${resultVersion}`,
    )
  const parsed = resultSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new GonkaError('ERR_GK_USAGE', `${origin} is not a result of bench --json: ${describeIssues(parsed.error)}`)
}
