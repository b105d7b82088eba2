/** completion bash | zsh | fish: a script generated from the command tree itself. */
import type { Command, Option } from 'commander'
import { exitCodes } from '../errors.ts'
import type { Io } from '../io.ts'
import type { Define } from './command.ts'

export const define: Define = (command, run, wholeTree) => {
  for (const [shell, script] of Object.entries({ bash, zsh, fish })) {
    command
      .command(shell)
      .description(`completion for ${shell}`)
      .action(
        run(async (io: Io) => {
          io.out.write(script(flatten(await wholeTree())))
          return exitCodes.ok
        }),
      )
  }
}

interface Node {
  /** Words after "gonka-miner"; empty for the program itself. */
  readonly path: readonly string[]
  readonly commands: readonly { readonly name: string; readonly description: string }[]
  readonly options: readonly Option[]
}

function flatten(program: Command): Node[] {
  const nodes: Node[] = []
  const visit = (command: Command, path: readonly string[]): void => {
    nodes.push({
      path,
      commands: command.commands.map((child) => ({ name: child.name(), description: child.description() })),
      options: command.options.filter((option) => !option.hidden),
    })
    for (const child of command.commands) visit(child, [...path, child.name()])
  }
  visit(program, [])
  return nodes
}

const flagsOf = (option: Option): string[] => [option.short, option.long].filter((flag) => flag !== undefined)
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

function bash(nodes: readonly Node[]): string {
  const cases = nodes.map(
    ({ path, commands, options }) =>
      `    ${quote(path.join(' '))}) words=${quote([...commands.map(({ name }) => name), ...options.flatMap(flagsOf), '--help'].join(' '))} ;;`,
  )
  const known = nodes
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => `      ${quote(path.join(' '))}) path=$next ;;`)
  const values = valueCases(nodes).map(
    ({ path, flag, words }) =>
      `    ${quote([...path, flag].join(' '))}) COMPREPLY=($(compgen -W ${quote(words.join(' '))} -- "$current")); return ;;`,
  )
  return `# bash completion for gonka-miner. Load with: source <(gonka-miner completion bash)
_gonka_miner() {
  local current=\${COMP_WORDS[COMP_CWORD]} path='' next i words=''
  for ((i = 1; i < COMP_CWORD; i++)); do
    next=\${path:+$path }\${COMP_WORDS[i]}
    case $next in
${known.join('\n')}
    esac
  done
  case "\${path:+$path }\${COMP_WORDS[COMP_CWORD-1]}" in
${values.join('\n')}
  esac
  case $path in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _gonka_miner gonka-miner
`
}

function zsh(nodes: readonly Node[]): string {
  const escaped = (text: string): string => text.replace(/[\\:[\]]/g, '\\$&')
  const known = nodes
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => `      ${quote(path.join(' '))}) at=$next ;;`)
  const cases = nodes.map(({ path, commands, options }) => {
    const entries = [
      ...commands.map(({ name, description }) => `${name}:${escaped(description)}`),
      ...options.flatMap((option) => flagsOf(option).map((flag) => `${flag}:${escaped(option.description)}`)),
      '--help:show help',
    ]
    return `    ${quote(path.join(' '))}) entries=(${entries.map(quote).join(' ')}) ;;`
  })
  const values = valueCases(nodes).map(
    ({ path, flag, words }) =>
      `    ${quote([...path, flag].join(' '))}) compadd -- ${words.map(quote).join(' ')}; return ;;`,
  )
  return `#compdef gonka-miner
# zsh completion for gonka-miner. Load with: source <(gonka-miner completion zsh)
_gonka_miner() {
  local at='' next i
  local -a entries
  for ((i = 2; i < CURRENT; i++)); do
    next="\${at:+$at }\${words[i]}"
    case $next in
${known.join('\n')}
    esac
  done
  case "\${at:+$at }\${words[CURRENT-1]}" in
${values.join('\n')}
  esac
  case $at in
${cases.join('\n')}
  esac
  _describe -o 'gonka-miner' entries || _files
}
compdef _gonka_miner gonka-miner
`
}

function fish(nodes: readonly Node[]): string {
  const lines = ['# fish completion for gonka-miner. Load with: gonka-miner completion fish | source']
  for (const { path, commands, options } of nodes) {
    const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`)
    const none =
      commands.length > 0 ? [`not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(' ')}`] : []
    const condition = [...seen, ...none].join('; and ')
    const when = condition === '' ? '' : ` -n ${quote(condition)}`
    for (const { name, description } of commands) {
      lines.push(`complete -c gonka-miner${when} -f -a ${quote(name)} -d ${quote(description)}`)
    }
    for (const option of options) {
      const long = option.long ? ` -l ${option.long.slice(2)}` : ''
      const short = option.short ? ` -s ${option.short.slice(1)}` : ''
      const value = option.required ? ' -r' : ''
      const choices = option.argChoices ? ` -f -a ${quote(option.argChoices.join(' '))}` : ''
      lines.push(`complete -c gonka-miner${when}${short}${long}${value}${choices} -d ${quote(option.description)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

/** Options whose values are known words. */
function valueCases(nodes: readonly Node[]): { path: readonly string[]; flag: string; words: readonly string[] }[] {
  return nodes.flatMap(({ path, options }) =>
    options.flatMap((option) =>
      option.argChoices ? flagsOf(option).map((flag) => ({ path, flag, words: option.argChoices ?? [] })) : [],
    ),
  )
}
