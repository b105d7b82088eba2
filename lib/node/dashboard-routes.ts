// The page at / and what it loads: files of this package and of uPlot's, nothing from elsewhere.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { packageRoot } from '../package-info.ts'
import type { NodeContext } from './context.ts'
import type { Server } from './server.ts'

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

function uplotFile(name: string): string {
  return join(dirname(createRequire(import.meta.url).resolve('uplot/package.json')), 'dist', name)
}

export function dashboardRoutes(app: Server, context: NodeContext): void {
  const own = (name: string) => join(packageRoot(), 'lib', 'node', 'dashboard', name)
  const files: readonly [path: string, file: string, type: string][] = [
    ['/', own('index.html'), 'text/html; charset=utf-8'],
    ['/dashboard/page.css', own('page.css'), 'text/css; charset=utf-8'],
    ['/dashboard/page.js', own('page.js'), 'text/javascript; charset=utf-8'],
    ['/dashboard/uplot.js', uplotFile('uPlot.iife.min.js'), 'text/javascript; charset=utf-8'],
    ['/dashboard/uplot.css', uplotFile('uPlot.min.css'), 'text/css; charset=utf-8'],
  ]
  for (const [path, file, type] of files) {
    let text: Promise<Buffer> | undefined
    app.get(path, async (_request, reply) => {
      text ??= readFile(file)
      const body = await text.catch((error: unknown) => {
        text = undefined
        throw error
      })
      return reply
        .header('content-type', type)
        .header('content-security-policy', policy)
        .header('x-content-type-options', 'nosniff')
        .header('cache-control', 'no-cache')
        .send(body)
    })
  }
  app.get('/dashboard/data.json', async (_request, reply) =>
    reply.header('cache-control', 'no-store').send(await context.overview()),
  )
}
