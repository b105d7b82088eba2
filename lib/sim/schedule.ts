// When what happens: the epoch arithmetic of the chain, in block heights. Pure.

export interface EpochParams {
  readonly epochLength: number
  readonly pocStageDuration: number
  readonly pocExchangeDuration: number
  readonly pocValidationDelay: number
  readonly pocValidationDuration: number
  readonly setNewValidatorsDelay: number
  readonly inferenceValidationCutoff: number
  readonly confirmationSafetyWindow: number
}

/** The public network in 2026. */
export const mainnetParams: EpochParams = {
  epochLength: 15_391,
  pocStageDuration: 35,
  pocExchangeDuration: 0,
  pocValidationDelay: 5,
  pocValidationDuration: 240,
  setNewValidatorsDelay: 120,
  inferenceValidationCutoff: 2,
  confirmationSafetyWindow: 50,
}

/** Seconds of a block that the chain itself reckons with. */
export const blockSeconds = 5.41

/** The same order of events with shorter waits: for a network of a few hosts on one machine. */
export const shortParams: EpochParams = {
  ...mainnetParams,
  epochLength: 310,
  pocValidationDuration: 100,
  setNewValidatorsDelay: 5,
  confirmationSafetyWindow: 5,
}

export type Phase = 'PoCGenerate' | 'PoCGenerateWindDown' | 'PoCValidate' | 'PoCValidateWindDown' | 'Inference'

export interface StageHeights {
  /** Stage key. */
  readonly start: number
  readonly windDown: number
  readonly end: number
  readonly exchangeEnd: number
  readonly validationStart: number
  readonly validationWindDown: number
  readonly validationEnd: number
}

/** Heights of the regular stage that starts at `start`. */
export function stageHeights(start: number, p: EpochParams): StageHeights {
  const end = start + p.pocStageDuration
  const validationStart = end + p.pocValidationDelay
  return {
    start,
    windDown: start + Math.floor(0.8 * p.pocStageDuration),
    end,
    exchangeEnd: end + p.pocExchangeDuration,
    validationStart,
    validationWindDown: validationStart + Math.floor(0.8 * p.pocValidationDuration),
    validationEnd: validationStart + p.pocValidationDuration,
  }
}

/** Heights of a confirmation stage triggered at `trigger`; its key is the trigger height. */
export function confirmationHeights(trigger: number, p: EpochParams): StageHeights {
  const generation = trigger + Math.max(p.inferenceValidationCutoff, 1)
  const end = generation + p.pocStageDuration - 1
  const exchangeEnd = end + p.pocExchangeDuration
  const validationStart = exchangeEnd + p.pocValidationDelay
  const validationEnd = validationStart + p.pocValidationDuration - 1
  return {
    start: generation,
    windDown: generation + Math.floor(0.8 * p.pocStageDuration),
    end,
    exchangeEnd,
    validationStart,
    validationWindDown: validationStart + Math.floor(0.8 * p.pocValidationDuration),
    validationEnd,
  }
}

export function phaseAt(height: number, s: StageHeights): Phase {
  if (height >= s.start && height < s.windDown) return 'PoCGenerate'
  if (height >= s.windDown && height <= s.exchangeEnd) return 'PoCGenerateWindDown'
  if (height >= s.validationStart && height < s.validationWindDown) return 'PoCValidate'
  if (height >= s.validationWindDown && height < s.validationEnd) return 'PoCValidateWindDown'
  return 'Inference'
}

/** First and last height at which a confirmation may trigger so that it ends before the next epoch's stage. */
export function confirmationWindow(epochStart: number, p: EpochParams): { first: number; last: number } {
  const regular = stageHeights(epochStart, p)
  const first = regular.validationEnd + p.setNewValidatorsDelay + p.confirmationSafetyWindow
  const needed = confirmationHeights(0, p).validationEnd + p.confirmationSafetyWindow
  return { first, last: epochStart + p.epochLength - needed }
}
