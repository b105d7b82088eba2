// Where settings come from: flags, environment, file, defaults, in this order. Every mistake is named with its place.

import { readFileSync, watch } from 'node:fs'
import { basename, dirname, extname, resolve } from 'node:path'
import { parse as parseToml } from 'smol-toml'
import { GonkaError, messageOf } from '../errors.ts'
import { flagOf, type Setting, type SettingKey, type Settings, settingsTable, variableOf } from './settings.ts'

export interface Config {
  readonly values: Settings
  /** Per setting: "flag --x", "environment X", "file path" or "default". */
  readonly origins: Readonly<Record<SettingKey, string>>
}

export interface ConfigSources {
  /** By setting key, as text. */
  readonly flags?: Readonly<Record<string, string | boolean | undefined>>
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Path of a TOML or JSON file. */
  readonly file?: string | undefined
}

const table: readonly Setting[] = settingsTable

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}

/** The value in the setting's type, or the sentence that says what was expected. Text is accepted for every type only
 *  where `textual` (flags and environment have nothing else). */
function coerce(setting: Setting, given: unknown, textual: boolean): { value: unknown } | { expected: string } {
  switch (setting.type) {
    case 'text': {
      if (typeof given !== 'string') return { expected: 'text' }
      if (setting.pattern !== undefined && !setting.pattern.test(given))
        return { expected: `text like ${setting.pattern}` }
      return { value: given }
    }
    case 'choice':
      return typeof given === 'string' && setting.choices.includes(given)
        ? { value: given }
        : { expected: `one of ${setting.choices.join(', ')}` }
    case 'switch': {
      if (typeof given === 'boolean') return { value: given }
      if (textual && typeof given === 'string' && /^(true|on|yes|1)$/i.test(given)) return { value: true }
      if (textual && typeof given === 'string' && /^(false|off|no|0)$/i.test(given)) return { value: false }
      return { expected: 'true or false' }
    }
    case 'integer':
    case 'number': {
      const value = textual && typeof given === 'string' && given.trim() !== '' ? Number(given) : given
      const fits =
        typeof value === 'number' &&
        (setting.type === 'number' || Number.isInteger(value)) &&
        value >= setting.min &&
        value <= setting.max
      const kind = setting.type === 'integer' ? 'a whole number' : 'a number'
      return fits ? { value } : { expected: `${kind} from ${setting.min} to ${setting.max}` }
    }
    case 'list': {
      if (textual && typeof given === 'string') {
        return {
          value: given
            .split(',')
            .map((s) => s.trim())
            .filter((s) => s !== ''),
        }
      }
      return Array.isArray(given) && given.every((entry) => typeof entry === 'string')
        ? { value: given }
        : { expected: 'a list of texts' }
    }
  }
}

/** Reads a configuration file into "section.name" keys. Throws ERR_GK_FILE, or ERR_GK_INVALID_ARGUMENT naming the line. */
function readConfigFile(path: string): Map<string, unknown> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new GonkaError('ERR_GK_FILE', `cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
  let parsed: unknown
  try {
    parsed = extname(path) === '.json' ? JSON.parse(text) : parseToml(text)
  } catch (error) {
    throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `${path}: ${messageOf(error)}`, { cause: error })
  }
  const out = new Map<string, unknown>()
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `${path}: expected sections with settings, as in [listen]`)
  }
  for (const [section, entries] of Object.entries(parsed)) {
    if (typeof entries !== 'object' || entries === null || Array.isArray(entries)) {
      throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `${path}: ${section} must be a section, as in [listen]`)
    }
    for (const [name, value] of Object.entries(entries)) out.set(`${section}.${name}`, value)
  }
  return out
}

function nearest(key: string): string {
  const distance = (a: string, b: string): number => {
    let row = Array.from({ length: b.length + 1 }, (_, i) => i)
    for (let i = 1; i <= a.length; i++) {
      const next = [i]
      for (let j = 1; j <= b.length; j++) {
        const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
        next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1))
      }
      row = next
    }
    return row[b.length] as number
  }
  const best = table.map((s) => ({ key: s.key, d: distance(key, s.key) })).sort((a, b) => a.d - b.d)[0]
  return best !== undefined && best.d <= 4 ? `; did you mean ${best.key}?` : ''
}

/** Resolves all settings. Throws ERR_GK_INVALID_ARGUMENT listing every mistake with its origin. */
export function resolveConfig(sources: ConfigSources): Config {
  const fromFile = sources.file === undefined ? new Map<string, unknown>() : readConfigFile(sources.file)
  const mistakes: string[] = []
  for (const key of fromFile.keys()) {
    if (!table.some((s) => s.key === key)) mistakes.push(`${sources.file}: ${key} is no setting${nearest(key)}`)
  }
  for (const name of Object.keys(sources.env ?? {})) {
    const ours = table.some((s) => name.startsWith(variableOf(`${s.key.split('.')[0]}.`)))
    if (ours && !table.some((s) => variableOf(s.key) === name)) {
      mistakes.push(`environment: ${name} is no setting`)
    }
  }
  const values: Record<string, unknown> = {}
  const origins: Record<string, string> = {}
  for (const setting of table) {
    const { key } = setting
    const candidates: [unknown, string, boolean][] = [
      [sources.flags?.[key], `flag ${flagOf(key)}`, true],
      [sources.env?.[variableOf(key)], `environment ${variableOf(key)}`, true],
      [fromFile.get(key), `file ${sources.file}`, false],
    ]
    values[key] = setting.value
    origins[key] = 'default'
    const found = candidates.find(([given]) => given !== undefined)
    if (found === undefined) continue
    const [given, origin, textual] = found
    const result = coerce(setting, given, textual)
    if ('expected' in result) {
      const came = setting.secret ? 'something else' : shown(given)
      mistakes.push(`${origin}: ${key} must be ${result.expected}, not ${came}`)
      continue
    }
    values[key] = result.value
    origins[key] = origin
  }
  const settings = values as unknown as Settings
  if ((settings['listen.tls_cert'] === '') !== (settings['listen.tls_key'] === '')) {
    mistakes.push('listen.tls_cert and listen.tls_key belong together')
  }
  if (settings['listen.tls_client_ca'] !== '' && settings['listen.tls_cert'] === '') {
    mistakes.push('listen.tls_client_ca needs listen.tls_cert')
  }
  if (settings['engine.kind'] === 'upstream' && settings['engine.upstream'].length === 0) {
    mistakes.push('engine.kind is upstream, but engine.upstream names no server')
  }
  if (mistakes.length > 0) throw new GonkaError('ERR_GK_INVALID_ARGUMENT', mistakes.join('\n'))
  return { values: settings, origins: origins as Config['origins'] }
}

/** Lines of `config print`: setting, value, origin. Secrets print as "set". */
export function printConfig(config: Config): { key: string; value: unknown; origin: string; help: string }[] {
  return table.map((setting) => {
    const value = config.values[setting.key as SettingKey]
    return {
      key: setting.key,
      value: setting.secret ? (value === '' ? '' : 'set') : value,
      origin: config.origins[setting.key as SettingKey],
      help: setting.help,
    }
  })
}

/** Calls back with the changed settings that may change while running, and with the names of those that may not. A file
 *  that became invalid is reported and leaves everything as it is. */
export function watchConfig(
  sources: ConfigSources & { readonly file: string },
  current: Config,
  onChange: (config: Config, changed: readonly SettingKey[], needRestart: readonly SettingKey[]) => void,
  onError: (message: string) => void,
): { reload(): void; close(): void } {
  let last = current
  let timer: NodeJS.Timeout | undefined
  const reload = () => {
    try {
      const next = resolveConfig(sources)
      const keys = table
        .filter(
          (s) => JSON.stringify(next.values[s.key as SettingKey]) !== JSON.stringify(last.values[s.key as SettingKey]),
        )
        .map((s) => ({ key: s.key as SettingKey, reload: s.reload === true }))
      last = next
      if (keys.length === 0) return
      onChange(
        next,
        keys.filter((k) => k.reload).map((k) => k.key),
        keys.filter((k) => !k.reload).map((k) => k.key),
      )
    } catch (error) {
      onError(messageOf(error))
    }
  }
  // The folder is watched, not the file: editors replace files, and a watch on the old one would go deaf.
  const name = basename(sources.file)
  const watcher = watch(dirname(resolve(sources.file)), { persistent: false }, (_event, changed) => {
    if (changed !== name) return
    clearTimeout(timer)
    timer = setTimeout(reload, 100)
    timer.unref()
  })
  return {
    reload,
    close() {
      clearTimeout(timer)
      watcher.close()
    },
  }
}
