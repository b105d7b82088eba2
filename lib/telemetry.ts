/** Telemetry in words. */
import type { Telemetry } from './native-api.ts'

/** What is read, in one line: "51 degrees, 412 W of 700 W, 1755 MHz of 1980 MHz (power), ..."; what is not is left out. */
export function describeTelemetry(now: Telemetry): string {
  const { temperatureC, powerW, powerLimitW, coreClockMhz, coreClockLimitMhz, throttle } = now
  const { eccCorrected, eccUncorrected, lastXid, utilizationPercent, processCount, source } = now
  const of = (value: number, limit: number | null, unit: string) =>
    `${Math.round(value)}${limit === null ? '' : ` of ${Math.round(limit)}`} ${unit}`
  const words: (string | false)[] = [
    temperatureC !== null && `${temperatureC} degrees`,
    powerW !== null && of(powerW, powerLimitW, 'W'),
    coreClockMhz !== null &&
      of(coreClockMhz, coreClockLimitMhz, 'MHz') +
        (throttle !== null && throttle.length > 0 ? ` (held by: ${throttle.join(', ')})` : ''),
    utilizationPercent !== null && `${utilizationPercent} % busy`,
    processCount !== null && `${processCount} ${processCount === 1 ? 'process' : 'processes'}`,
    eccUncorrected !== null && `ECC errors ${eccCorrected ?? 0} corrected, ${eccUncorrected} not`,
    lastXid !== null && `last XID ${lastXid}`,
    source !== '' && `by ${source}`,
  ]
  return words.filter(Boolean).join(', ') || `none: ${now.missing}`
}

export interface TelemetryTrouble {
  readonly detail: string
  /** One command. */
  readonly fix: string
}

/** What an operator should look at now; empty if nothing. */
export function telemetryTroubles(now: Telemetry): readonly TelemetryTrouble[] {
  const troubles: TelemetryTrouble[] = []
  const gpu = now.uuid === '' ? '' : ` -i ${now.uuid}`
  if (now.eccUncorrected !== null && now.eccUncorrected > 0) {
    const detail = `${now.eccUncorrected} uncorrected memory errors since the driver was loaded: results may be wrong`
    troubles.push({ detail, fix: `nvidia-smi --gpu-reset${gpu}` })
  }
  if (now.throttle?.includes('hardware')) {
    const detail = 'the hardware brakes: power supply or temperature out of bounds'
    troubles.push({ detail, fix: `nvidia-smi -q -d PERFORMANCE,POWER,TEMPERATURE${gpu}` })
  } else if (now.throttle?.includes('temperature')) {
    const detail = `slowed down by temperature${now.temperatureC === null ? '' : ` (${now.temperatureC} degrees)`}`
    troubles.push({ detail, fix: `nvidia-smi -q -d TEMPERATURE,PERFORMANCE${gpu}` })
  }
  if (now.lastXid !== null) {
    troubles.push({ detail: `the driver reported XID ${now.lastXid}`, fix: 'sudo dmesg | grep -i xid' })
  }
  return troubles
}
