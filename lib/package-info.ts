/** Where the package lies and which version it is. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of package.json: above lib/, or above dist/lib/ once compiled. */
export function packageRoot(): string {
  const above = dirname(dirname(fileURLToPath(import.meta.url)))
  return existsSync(join(above, 'package.json')) ? above : dirname(above)
}

export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version
}
