#!/usr/bin/env node
// prebuildify spawns `node-gyp rebuild --target=V --devdir=D --arch=A --release|--debug`. For a Node-API addon only the
// architecture and the build type matter; this hands them to cmake-js.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'

const require = createRequire(import.meta.url)
const args = process.argv.slice(2)
const arch = args.find((arg) => arg.startsWith('--arch='))?.slice('--arch='.length)
const cmakeJs = join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js')
const result = spawnSync(
  process.execPath,
  [cmakeJs, 'compile', ...(arch ? ['--arch', arch] : []), ...(args.includes('--debug') ? ['--debug'] : [])],
  { stdio: 'inherit' },
)
process.exit(result.status ?? 1)
