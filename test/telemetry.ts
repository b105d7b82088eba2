// Telemetry of a device that tells nothing.
import type { Telemetry } from '../lib/native-api.ts'

export const noTelemetry: Telemetry = {
  name: 'Device of the test',
  uuid: '',
  pci: '',
  driver: '',
  source: '',
  temperatureC: null,
  powerW: null,
  powerLimitW: null,
  energyJ: null,
  coreClockMhz: null,
  memoryClockMhz: null,
  coreClockLimitMhz: null,
  memoryClockLimitMhz: null,
  throttle: null,
  eccCorrected: null,
  eccUncorrected: null,
  xidCount: null,
  lastXid: null,
  utilizationPercent: null,
  memoryTotalBytes: null,
  memoryUsedBytes: null,
  processCount: null,
  processes: null,
  missing: 'energy: Not Supported',
}
