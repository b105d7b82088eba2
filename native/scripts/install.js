// npm's install step: use a prebuilt addon if one fits this machine, otherwise compile.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { buildJobs } from './build-jobs.js'

const require = createRequire(import.meta.url)
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

function prebuiltFits() {
  if (!existsSync(join(root, 'prebuilds'))) return 'the package holds no prebuilds'
  try {
    process.env.PREBUILDS_ONLY = '1'
    require('node-gyp-build')(root)
    return null
  } catch (error) {
    return error.message.trim().replace(/\s*\n\s*/g, '; ')
  }
}

const works = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0

const whyNot = prebuiltFits()
if (whyNot !== null) {
  const missing = []
  if (!works('cmake', ['--version'])) missing.push('cmake (3.19 or newer)')
  if (!works(process.env.CXX || 'c++', ['--version'])) missing.push('a C++20 compiler (g++ 11 or clang 14, or newer)')
  if (!works('make', ['--version']) && !works('ninja', ['--version'])) missing.push('make or ninja')
  if (missing.length > 0) {
    process.stderr.write(
      `gonka-miner: no prebuilt addon fits ${process.platform}-${process.arch} (${whyNot}),\n` +
        `and it cannot be compiled here: missing ${missing.join(', ')}.\n` +
        'Install them and run npm again. Debian, Ubuntu: apt-get install g++ cmake make. Fedora: dnf install gcc-c++ cmake make.\n',
    )
    process.exit(1)
  }
  const cmakeJs = join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js')
  const result = spawnSync(process.execPath, [cmakeJs, 'compile', '--parallel', String(buildJobs())], {
    cwd: root,
    stdio: 'inherit',
  })
  process.exitCode = result.status ?? 1
}
