// npm pack, installed into an empty project: with a prebuild and no compiler it works, with neither it says what to do.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import t from 'tap'

const temporary = mkdtempSync(join(tmpdir(), 'gonka-package-'))
t.teardown(() => rmSync(temporary, { recursive: true, force: true }))

const onPath = (name: string) =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(existsSync)

/** A PATH with Node, npm and a shell, but nothing that compiles. */
function pathWithoutCompilers(): string {
  const folder = join(temporary, 'bin')
  mkdirSync(folder)
  for (const name of ['node', 'npm', 'npx', 'sh', 'env']) {
    const found = name === 'node' ? process.execPath : onPath(name)
    if (found !== undefined) symlinkSync(found, join(folder, name))
  }
  return folder
}

/** The package as `npm pack` makes it of this checkout, its prebuilds aside. */
function pack(prebuilds: string | undefined): string {
  const copy = mkdtempSync(join(temporary, 'checkout-'))
  const { files } = JSON.parse(readFileSync('package.json', 'utf8')) as { files: string[] }
  for (const name of [...files, 'package.json', 'README.md', 'LICENSE'])
    if (name !== 'prebuilds' && existsSync(name)) cpSync(name, join(copy, name), { recursive: true })
  if (prebuilds !== undefined) cpSync(prebuilds, join(copy, 'prebuilds'), { recursive: true })
  const out = execFileSync('npm', ['pack', '--json', '--ignore-scripts', copy], { cwd: temporary, encoding: 'utf8' })
  const [packed] = JSON.parse(out) as [{ filename: string; files: { path: string }[] }]
  const names = packed.files.map((file) => file.path)
  t.notOk(
    names.some((name) => name.startsWith('test/')),
    'no tests and no golden data in the package',
  )
  t.ok(names.includes('native/include/gonka_backend.h'), 'the header for vendors is in the package')
  t.ok(names.includes('CMakeLists.txt'), 'it can be compiled where no prebuild fits')
  const file = join(temporary, prebuilds === undefined ? 'bare.tgz' : 'whole.tgz')
  copyFileSync(join(temporary, packed.filename), file)
  return file
}

/** Runs `npm run prebuild`, which moves the addon out of build/Release, and puts everything back where it was. */
function prebuild(): string {
  const built = 'build/Release/gonka_miner.node'
  const saved = join(temporary, 'saved.node')
  const had = existsSync('prebuilds')
  if (existsSync(built)) copyFileSync(built, saved)
  try {
    execFileSync('npm', ['run', 'prebuild'], { stdio: 'pipe' })
    const out = join(temporary, 'prebuilds')
    cpSync('prebuilds', out, { recursive: true })
    return out
  } finally {
    if (existsSync(saved)) {
      // Not written in place: whoever has the old file loaded keeps it.
      copyFileSync(saved, `${built}.new`)
      renameSync(`${built}.new`, built)
    }
    if (!had) rmSync('prebuilds', { recursive: true, force: true })
  }
}

const path = pathWithoutCompilers()

function install(tarball: string) {
  const project = mkdtempSync(join(temporary, 'project-'))
  writeFileSync(join(project, 'package.json'), '{ "private": true }\n')
  const home = mkdtempSync(join(temporary, 'home-'))
  const environment = {
    ...process.env,
    HOME: home,
    PATH: path,
    CXX: undefined,
    npm_config_cache: process.env.npm_config_cache,
  }
  const run = (...args: string[]) => {
    const [command = '', ...rest] = args
    return spawnSync(join(path, command), rest, { cwd: project, env: environment, encoding: 'utf8' })
  }
  return { project, run, installed: run('npm', 'install', '--no-audit', '--no-fund', '--foreground-scripts', tarball) }
}

t.test('a prebuild needs no compiler', async (t) => {
  const prebuilds = prebuild()
  t.ok(existsSync(join(prebuilds, `${process.platform}-${process.arch}`, 'gonka-miner.node')))
  const { project, run, installed } = install(pack(prebuilds))
  t.equal(installed.status, 0, installed.stderr)
  t.notOk(existsSync(join(project, 'node_modules/gonka-miner/build')), 'nothing was compiled')
  const bench = run('npx', 'gonka-miner', 'bench', 'sha256', '--seconds', '0.05', '--json')
  t.equal(bench.status, 0, bench.stderr)
  const report = JSON.parse(bench.stdout) as { figures: { device: string; rate: number }[] }
  t.equal(report.figures[0]?.device, 'cpu:0')
  t.ok((report.figures[0]?.rate ?? 0) > 0)
  const usage = `
    import { openDevice } from 'gonka-miner'
    const device = await openDevice()
    console.log(device.id)
    await device.close()`
  const library = run('node', '--input-type=module', '-e', usage)
  t.equal(library.stdout.trim(), 'cpu:0', library.stderr)
})

t.test('with neither prebuild nor compiler the installation says what to do', async (t) => {
  const { installed } = install(pack(undefined))
  t.not(installed.status, 0)
  t.match(installed.stderr + installed.stdout, /no prebuilt addon fits/)
  t.match(installed.stderr + installed.stdout, /missing cmake/)
  t.match(installed.stderr + installed.stdout, /apt-get install g\+\+ cmake make/)
})
