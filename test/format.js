// Checks (or with --write, applies) clang-format over the native sources.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'

const require = createRequire(import.meta.url)
const binary = join(
  dirname(require.resolve('clang-format-node/package.json')),
  'bin',
  `cfn-${process.platform}-${process.arch}`,
  'clang-format',
)
const files = ['native', 'test/native', 'bench']
  .flatMap((root) => readdirSync(root, { recursive: true }).map((name) => join(root, name)))
  .filter((name) => /\.(c|h|cc|cpp|hpp|cu|cuh)$/.test(name))
const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror']
const result = spawnSync(binary, [...mode, ...files], { stdio: 'inherit' })
process.exitCode = result.status ?? 1
