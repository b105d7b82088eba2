/**
 * Runs in a child process of its own: does with a candidate library what would take the parent down if the library
 * crashed. Started by lib/backends.ts, which sends one ChildRequest and receives ChildMessages.
 */
import { messageOf } from './errors.ts'
import { loadNative } from './native.ts'
import type { CheckResult, CheckSummary, ConformanceRequest, ProbeReport } from './native-api.ts'

export type ChildRequest =
  | { readonly kind: 'probe'; readonly path: string }
  | {
      readonly kind: 'conformance'
      readonly path: string
      readonly request: ConformanceRequest
      readonly threads?: number
    }

export type ChildMessage =
  /** What is about to happen: named if the child dies in it. */
  | { readonly kind: 'step'; readonly step: string }
  | { readonly kind: 'probed'; readonly report: ProbeReport }
  | { readonly kind: 'result'; readonly device: string; readonly result: CheckResult }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'done'; readonly summary?: CheckSummary }

function send(message: ChildMessage): Promise<void> {
  return new Promise((resolve) => process.send?.(message, undefined, {}, () => resolve()))
}

async function conformance({ path, request, threads }: ChildRequest & { kind: 'conformance' }): Promise<CheckSummary> {
  const native = loadNative()
  await send({ kind: 'step', step: 'loading the library' })
  const report = native.loadBackend(path)
  if (report.error !== null) throw new Error(report.error)
  const summary = { passed: 0, failed: 0, skipped: 0 }
  for (let index = 0; index < report.devices; index++) {
    const id = `${report.name}:${index}`
    await send({ kind: 'step', step: `opening ${id}` })
    const open = await native.openDevice({ device: id, ...(threads === undefined ? {} : { threads }) })
    await send({ kind: 'step', step: `running cases on ${id}` })
    const counts = await open.conformance(request, (result) => {
      void send({ kind: 'result', device: id, result })
    })
    summary.passed += counts.passed
    summary.failed += counts.failed
    summary.skipped += counts.skipped
    await open.close()
  }
  return summary
}

process.once('message', (message) => {
  const request = message as ChildRequest
  const work = async (): Promise<ChildMessage> => {
    if (request.kind === 'conformance') return { kind: 'done', summary: await conformance(request) }
    const native = loadNative()
    await send({ kind: 'step', step: 'running known answers on its devices' })
    await send({ kind: 'probed', report: native.probe(request.path) })
    return { kind: 'done' }
  }
  work()
    .catch((error: unknown): ChildMessage => ({ kind: 'failed', message: messageOf(error) }))
    .then(send)
    .finally(() => process.disconnect())
})
