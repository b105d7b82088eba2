/** What tickets cost: matmul_pow beside plain i8 gemm of the same shape in the same run. */
import type { BenchFigure } from './bench.ts'

export interface Overhead {
  readonly name: string
  /** The gemm that it is held against. */
  readonly beside: string
  /** Time more than the gemm's, as a fraction of it; negative where matmul_pow took less. At the medians. */
  readonly fraction: number
  /** From the ends of both medians' intervals. */
  readonly low: number
  readonly high: number
}

type Timed = Pick<BenchFigure, 'name' | 'device' | 'threads' | 'skipped' | 'medianNs' | 'intervalNs'>

/** One for each matmul_pow that has its gemm in the run; packed weights are taken before plain ones. */
export function overheads(figures: readonly Timed[]): Overhead[] {
  return figures.flatMap((pow) => {
    const shape = /^matmul_pow (\d+x\d+x\d+) i[48]\b/.exec(pow.name)?.[1]
    if (shape === undefined || pow.skipped !== null) return []
    const same = ({ device, threads, skipped }: Timed) =>
      skipped === null && device === pow.device && threads === pow.threads
    const named = (name: string) => figures.find((figure) => same(figure) && figure.name.startsWith(name))
    const gemm = named(`gemm ${shape} i8 packed`) ?? named(`gemm ${shape} i8`)
    if (gemm === undefined) return []
    return [
      {
        name: pow.name,
        beside: gemm.name,
        fraction: pow.medianNs / gemm.medianNs - 1,
        low: pow.intervalNs.low / gemm.intervalNs.high - 1,
        high: pow.intervalNs.high / gemm.intervalNs.low - 1,
      },
    ]
  })
}
