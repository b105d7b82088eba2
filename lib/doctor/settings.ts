/** Checks of what `serve` would start with: settings, ports, folders, certificates, model, limits of the system. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { access, constants, readdir, readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { type ConfigSources, resolveConfig } from '../node/config.ts'
import { isLoopback } from '../node/listeners.ts'
import type { Settings } from '../node/settings.ts'
import { type Check, failure, ok, warning } from './check.ts'

const dayMs = 86_400_000
/** Sockets of 200 pollers, callbacks, upstreams and the store's files, with room. */
const wantedDescriptors = 4096

/** The settings, or what is wrong with them. */
export function checkConfig(sources: ConfigSources): { readonly check: Check; readonly settings?: Settings } {
  try {
    const { values } = resolveConfig(sources)
    return { check: ok('settings', sources.file ?? 'no settings file, defaults'), settings: values }
  } catch (error) {
    const file = sources.file === undefined ? '' : ` --config ${sources.file}`
    return { check: failure('settings', messageOf(error), `gonka-miner config print${file}`) }
  }
}

export async function checkSettings(settings: Settings, now: number): Promise<Check[]> {
  return [
    await checkPort('port', settings['listen.host'], settings['listen.port'], '--listen-port'),
    ...(settings['listen.inference']
      ? [
          await checkPort(
            'inference port',
            settings['listen.host'],
            settings['listen.inference_port'],
            '--listen-inference-port',
          ),
        ]
      : []),
    checkOpenness(settings),
    await checkCertificate(settings, now),
    await checkDataFolder(settings['data.dir']),
    await checkModelFolder(settings),
    checkDescriptors(await readFile('/proc/self/limits', 'utf8').catch(() => '')),
    await checkDriver('/sys/bus/pci/devices', '/proc/driver/nvidia/version'),
  ].filter((check) => check !== undefined)
}

/** A port that is taken by a node of ours is none to complain about: --url looks at that node. */
async function checkPort(name: string, host: string, port: number, flag: string): Promise<Check> {
  if (port === 0) return ok(name, 'a free one is picked')
  const code = await new Promise<string | undefined>((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen(port, host, () => server.close(() => resolve(undefined)))
  })
  if (code === undefined) return ok(name, `${host}:${port} is free`)
  if (code === 'EACCES') {
    return failure(name, `${host}:${port} may be opened by root only`, `gonka-miner serve ${flag} ${port + 8000}`)
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    const fix = 'gonka-miner serve --listen-host 127.0.0.1'
    return failure(name, `${host} is no address of this machine`, fix)
  }
  if (await isNode(host, port)) return ok(name, `${host}:${port} is in use by a node that runs already`)
  const detail = code === 'EADDRINUSE' ? `${host}:${port} is taken by another program` : `${host}:${port}: ${code}`
  return failure(name, detail, `ss -ltnp 'sport = :${port}'`)
}

async function isNode(host: string, port: number): Promise<boolean> {
  const shown = host.includes(':') ? `[${host}]` : host
  const signal = AbortSignal.timeout(3000)
  const answer = await fetch(`http://${shown}:${port}/livez`, { signal }).catch(() => undefined)
  return answer !== undefined && (await answer.text()).includes('service_state')
}

function checkOpenness(settings: Settings): Check {
  const host = settings['listen.host']
  if (isLoopback(host)) return ok('access', `${host}: this machine only`)
  if (settings['listen.tls_client_ca'] !== '') return ok('access', `${host}, clients with a certificate only`)
  if (settings['listen.token'] !== '') return ok('access', `${host}, with a token`)
  const detail = `${host} is open to everybody who reaches it`
  return warning('access', detail, 'export GONKA_MINER_LISTEN_TOKEN=$(openssl rand -hex 24)')
}

async function checkCertificate(settings: Settings, now: number): Promise<Check | undefined> {
  const { 'listen.tls_cert': certPath, 'listen.tls_key': keyPath } = settings
  if (certPath === '') return undefined
  let certificate: X509Certificate
  let key: ReturnType<typeof createPrivateKey>
  try {
    certificate = new X509Certificate(await readFile(certPath))
    key = createPrivateKey(await readFile(keyPath))
  } catch (error) {
    return failure('certificate', messageOf(error), `openssl x509 -in ${certPath} -noout -text`)
  }
  if (!certificate.checkPrivateKey(key)) {
    return failure('certificate', `${keyPath} is not the key of ${certPath}`, `openssl pkey -in ${keyPath} -pubout`)
  }
  const left = Date.parse(certificate.validTo) - now
  const show = `openssl x509 -in ${certPath} -noout -dates`
  if (left < 0) return failure('certificate', `${certPath} expired on ${certificate.validTo}`, show)
  if (Date.parse(certificate.validFrom) > now) {
    return failure('certificate', `${certPath} is valid from ${certificate.validFrom} only`, show)
  }
  if (left < 14 * dayMs) return warning('certificate', `${certPath} expires on ${certificate.validTo}`, show)
  return ok('certificate', `valid until ${certificate.validTo}`)
}

async function checkDataFolder(path: string): Promise<Check> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return ok('data folder', `${path} will be made`)
  if (!found.isDirectory()) return failure('data folder', `${path} is a file`, `mv ${path} ${path}.old`)
  const writable = await access(path, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )
  if (!writable) return failure('data folder', `${path} cannot be written by this user`, `sudo chown $USER ${path}`)
  if ((found.mode & 0o022) !== 0) {
    return warning('data folder', `${path} can be changed by other users`, `chmod 700 ${path}`)
  }
  return ok('data folder', path)
}

async function checkModelFolder(settings: Settings): Promise<Check | undefined> {
  const path = settings['engine.model_dir']
  if (settings['engine.kind'] !== 'v2' && path === '') return undefined
  const files = await readdir(path).catch(() => undefined)
  if (files === undefined) {
    return failure(
      'model',
      `engine.model_dir ${JSON.stringify(path)} is no folder that can be read`,
      `ls -l ${path || '.'}`,
    )
  }
  const missing = [
    files.includes('config.json') ? '' : 'config.json',
    files.some((name) => name.endsWith('.safetensors')) ? '' : 'a .safetensors file',
  ].filter((name) => name !== '')
  if (missing.length > 0) {
    return failure('model', `${path} holds no ${missing.join(' and no ')}`, `ls -l ${path}`)
  }
  const shard = files.map((name) => /-of-(\d{5})\.safetensors$/.exec(name)?.[1]).find((total) => total !== undefined)
  const shards = files.filter((name) => name.endsWith('.safetensors')).length
  if (shard !== undefined && shards < Number(shard)) {
    return failure(
      'model',
      `${path} holds ${shards} of ${Number(shard)} files of weights`,
      `ls ${join(path, '*.safetensors')}`,
    )
  }
  return ok('model', path)
}

/** `limits` is the text of /proc/self/limits; empty on other systems. */
export function checkDescriptors(limits: string): Check | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1]
  if (soft === undefined) return undefined
  if (Number(soft) >= wantedDescriptors) return ok('open files', `${soft} allowed`)
  return warning('open files', `${soft} allowed, a busy node needs ${wantedDescriptors}`, 'ulimit -n 65536')
}

const nvidiaVendor = '0x10de'

/** A card without its driver looks like a machine without a card to everything else. */
export async function checkDriver(pciFolder: string, versionFile: string): Promise<Check | undefined> {
  const devices = await readdir(pciFolder).catch(() => [])
  const read = (name: string, file: string) => readFile(join(pciFolder, name, file), 'utf8').catch(() => '')
  let cards = 0
  for (const name of devices) {
    // Class 03: display controllers; the same vendor also makes bridges and network cards.
    const [vendor, kind] = await Promise.all([read(name, 'vendor'), read(name, 'class')])
    if (vendor.trim() === nvidiaVendor && kind.startsWith('0x03')) cards++
  }
  if (cards === 0) return undefined
  const version = await readFile(versionFile, 'utf8').catch(() => '')
  if (version !== '') return ok('driver', version.split('\n')[0]?.trim() ?? 'loaded')
  const many = cards === 1 ? 'an NVIDIA card is' : `${cards} NVIDIA cards are`
  return failure('driver', `${many} in the machine, but no driver is loaded`, 'sudo modprobe nvidia')
}
