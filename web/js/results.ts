/** N-best lists from the result objects of recognisers. The formats of the core have the same rules; shared test cases compare them. */

import { fromAlternatives, fromSpeech, isSpeechResult } from './speech.js';
import type { Hypothesis, Recognised, SherpaResult, SpeechAlternative, VoskResult } from './types.js';

/** The hypotheses of a result object; `undefined` for anything else. */
export function fromResult(value: unknown): Hypothesis[] | undefined {
  if (isSpeechResult(value)) return fromSpeech(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value) || 'nbest' in value) return undefined;
  const { alternatives, hypotheses, text, ys_log_probs } = value as Partial<VoskResult & SherpaResult>;
  if (Array.isArray(alternatives) && alternatives.length > 0) {
    return 'transcript' in alternatives[0]! ? fromAlternatives(alternatives as unknown as SpeechAlternative[]) : fromVosk(alternatives);
  }
  if (Array.isArray(hypotheses) && hypotheses.length > 0) return hypotheses.map(fromSherpa);
  return typeof text === 'string' ? [fromSherpa({ text, ys_log_probs })] : undefined;
}

/** Vosk's confidence is the log-likelihood of the path. That of silence is a placeholder. */
function fromVosk(alternatives: VoskResult['alternatives']): Hypothesis[] {
  const silence = alternatives.length === 1 && alternatives[0]!.text === '' && alternatives[0]!.confidence === 1;
  return alternatives.map(({ text, confidence }) => scored(text, silence ? undefined : confidence));
}

function fromSherpa({ text, score, ys_log_probs: tokens }: Recognised): Hypothesis {
  return scored(text, score ?? (tokens && tokens.length > 0 ? Array.from(tokens).reduce((sum, value) => sum + value, 0) : undefined));
}

function scored(text: string, score: number | null | undefined): Hypothesis {
  return score === undefined || score === null ? { text } : { text, score };
}
