// Every setting of a node: name, meaning, limits, default. One table serves the file, the environment, the flags, the help
// text and `config print`.

import { homedir } from 'node:os'
import { join } from 'node:path'
import { logLevels } from './log.ts'

interface Common {
  /** "section.name" as in the file. Flag: --section-name; environment: GONKA_MINER_SECTION_NAME. */
  readonly key: string
  readonly help: string
  /** Takes effect when the file changes, without a restart. */
  readonly reload?: true
  /** Printed as "set" only. */
  readonly secret?: true
}
export type Setting =
  | (Common & { readonly type: 'text'; readonly value: string; readonly pattern?: RegExp })
  | (Common & { readonly type: 'integer'; readonly value: number; readonly min: number; readonly max: number })
  | (Common & { readonly type: 'number'; readonly value: number; readonly min: number; readonly max: number })
  | (Common & { readonly type: 'switch'; readonly value: boolean })
  | (Common & { readonly type: 'choice'; readonly value: string; readonly choices: readonly string[] })
  | (Common & { readonly type: 'list'; readonly value: readonly string[] })

const port = { type: 'integer', min: 0, max: 65_535 } as const
const day = 86_400

export const settingsTable = [
  { key: 'listen.host', type: 'text', value: '127.0.0.1', help: 'address the API listens on' },
  { key: 'listen.port', ...port, value: 8080, help: 'management API; 0 picks a free port' },
  { key: 'listen.inference_port', ...port, value: 5050, help: 'inference API; 0 picks a free port' },
  { key: 'listen.inference', type: 'switch', value: true, help: 'open the inference port' },
  {
    key: 'listen.token',
    type: 'text',
    value: '',
    secret: true,
    reload: true,
    help: 'bearer token callers must present; empty: none',
  },
  { key: 'listen.tls_cert', type: 'text', value: '', help: 'PEM file of the server certificate; empty: plain HTTP' },
  { key: 'listen.tls_key', type: 'text', value: '', help: 'PEM file of its key' },
  {
    key: 'listen.tls_client_ca',
    type: 'text',
    value: '',
    help: 'PEM file of the authorities whose clients may connect (mTLS)',
  },
  {
    key: 'engine.kind',
    type: 'choice',
    choices: ['auto', 'v1', 'v2', 'embedding', 'upstream'],
    value: 'auto',
    help: 'what computes: v1 (seeded transformer, native), v2 (the files of engine.model_dir, native), upstream (servers that run the model), embedding (no layers; tests). auto: upstream if engine.upstream is set, else v1',
  },
  {
    key: 'engine.devices',
    type: 'list',
    value: [],
    help: 'devices of native engines, one group each; empty: the first',
  },
  {
    key: 'engine.upstream',
    type: 'list',
    value: [],
    help: 'base URLs of servers that run the model and compute PoC v2',
  },
  {
    key: 'engine.model_dir',
    type: 'text',
    value: '',
    help: 'Hugging Face directory of the model that the native v2 engine loads',
  },
  { key: 'engine.models', type: 'list', value: [], help: 'model ids that the v2 and embedding engines answer to' },
  { key: 'engine.groups', type: 'integer', min: 1, max: 64, value: 1, help: 'groups of the embedding engine' },
  {
    key: 'engine.rate_limit',
    type: 'number',
    min: 0,
    max: 1e9,
    value: 0,
    help: 'nonces per second and group of the embedding engine; 0: no limit',
  },
  {
    key: 'engine.embedding_dim',
    type: 'integer',
    min: 12,
    max: 65_536,
    value: 64,
    help: 'width of the embedding engine; another width is another model',
  },
  { key: 'engine.autostart', type: 'text', value: '', help: 'model brought up at start, without inference/up' },
  {
    key: 'engine.validation_beside_inference',
    type: 'switch',
    value: false,
    help: 'tell the network node that validation may run while inference is served',
  },
  {
    key: 'data.dir',
    type: 'text',
    value: join(homedir(), '.gonka-miner', 'node'),
    help: 'folder of the durable store',
  },
  {
    key: 'data.sync',
    type: 'switch',
    value: true,
    help: 'wait for the disk at every write; off: a power cut may lose the last second',
  },
  {
    key: 'data.model_cache',
    type: 'text',
    value: '',
    help: 'Hugging Face cache; empty: where HF_HUB_CACHE and HF_HOME say',
  },
  {
    key: 'callbacks.allow',
    type: 'list',
    value: ['loopback', 'private'],
    help: 'addresses the node may call: loopback, private, any, networks, host names',
  },
  {
    key: 'callbacks.interval_ms',
    type: 'integer',
    min: 10,
    max: 60_000,
    value: 1000,
    reload: true,
    help: 'artifacts are gathered this long before a batch goes out',
  },
  {
    key: 'callbacks.max_batch',
    type: 'integer',
    min: 1,
    max: 100_000,
    value: 5000,
    reload: true,
    help: 'most artifacts in one callback',
  },
  {
    key: 'callbacks.timeout_ms',
    type: 'integer',
    min: 100,
    max: 600_000,
    value: 10_000,
    reload: true,
    help: 'a callback without answer is repeated after this long',
  },
  {
    key: 'callbacks.backoff_ms',
    type: 'integer',
    min: 10,
    max: 60_000,
    value: 500,
    reload: true,
    help: 'first delay after a failed callback; doubles',
  },
  {
    key: 'callbacks.max_backoff_ms',
    type: 'integer',
    min: 10,
    max: 600_000,
    value: 10_000,
    reload: true,
    help: 'longest delay between callbacks',
  },
  { key: 'callbacks.tls_cert', type: 'text', value: '', help: 'PEM file of the client certificate for callbacks' },
  { key: 'callbacks.tls_key', type: 'text', value: '', help: 'PEM file of its key' },
  { key: 'callbacks.tls_ca', type: 'text', value: '', help: 'PEM file of the authorities callbacks trust' },
  {
    key: 'poc.stage_deadline_s',
    type: 'number',
    min: 1,
    max: day,
    value: 600,
    help: 'artifacts of a stage are generated and delivered at most this long',
  },
  {
    key: 'poc.generation_limit_s',
    type: 'number',
    min: 0,
    max: day,
    value: 0,
    help: 'generation of a stage ends this long after its start, while delivery goes on; 0: when the network node says so',
  },
  {
    key: 'poc.stop_flush_ms',
    type: 'integer',
    min: 0,
    max: 60_000,
    value: 3000,
    help: 'how long pow/stop waits for unsent artifacts',
  },
  {
    key: 'poc.max_queued_nonces',
    type: 'integer',
    min: 1,
    max: 10_000_000,
    value: 100_000,
    help: 'nonces that may wait for validation, per group',
  },
  {
    key: 'log.level',
    type: 'choice',
    choices: logLevels,
    value: 'info',
    reload: true,
    help: 'least severe level that is logged',
  },
  { key: 'metrics.enabled', type: 'switch', value: true, help: 'serve /metrics' },
] as const satisfies readonly Setting[]

export type SettingKey = (typeof settingsTable)[number]['key']
type ValueOf<T> = T extends { type: 'text' | 'choice' }
  ? string
  : T extends { type: 'integer' | 'number' }
    ? number
    : T extends { type: 'switch' }
      ? boolean
      : readonly string[]
export type Settings = { readonly [S in (typeof settingsTable)[number] as S['key']]: ValueOf<S> }

export const flagOf = (key: string) => `--${key.replace(/[._]/g, '-')}`
export const variableOf = (key: string) => `GONKA_MINER_${key.replaceAll('.', '_').toUpperCase()}`
