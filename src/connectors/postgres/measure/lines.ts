/** Effects on their way to the evidence, as lines: kept here until they are many enough for one frame. */
import { effectsOfLines, type EffectMaking } from '../../../model/effect-lines.ts';
import type { EvidenceWriter } from '../../../model/ports.ts';
import type { Written } from './form.ts';

/** Bytes that go to the evidence at a time. */
const FRAME_BYTES = 256 * 1_024;
const LEAST_BYTES = 1_024;
/** For the line that fills a batch. */
const SLACK_BYTES = 8 * 1_024;
/** Digits of a making's number, and the line feed. */
const NUMBER_BYTES = 11;
const LINE_FEED = 10;

interface Batch {
  readonly room: Buffer;
  readonly used: number;
  readonly rows: number;
}

export class Lines {
  readonly #makings: EffectMaking[] = [];
  readonly #full: Batch[] = [];
  #room: Buffer = Buffer.allocUnsafe(LEAST_BYTES);
  #used = 0;
  #rows = 0;
  /** Room that a batch had which is gone. */
  #spare: Buffer | null = null;

  /** Whether there is something that the evidence should have. */
  get isFull(): boolean {
    return this.#full.length > 0;
  }

  /** Returns the number by which lines name the making. */
  addMaking(making: EffectMaking): number {
    return this.#makings.push(making) - 1;
  }

  add(making: number, { bytes, fields, end }: Written): void {
    const most = this.#used + NUMBER_BYTES + end - fields;
    if (most > this.#room.length) {
      const larger = Buffer.allocUnsafe(Math.max(most, this.#room.length * 4));
      this.#room.copy(larger, 0, 0, this.#used);
      this.#room = larger;
    }
    this.#used += this.#room.write(String(making), this.#used, 'latin1');
    this.#used += bytes.copy(this.#room, this.#used, fields, end);
    this.#room[this.#used] = LINE_FEED;
    this.#used += 1;
    this.#rows += 1;
    if (this.#used >= FRAME_BYTES) this.#close();
  }

  /** Gives the full batches to the writer, the last one too; what is added meanwhile waits. */
  async flush(writer: EvidenceWriter, isLast: boolean): Promise<void> {
    if (isLast && this.#rows > 0) this.#close();
    for (let batch = this.#full.shift(); batch !== undefined; batch = this.#full.shift()) {
      const lines = batch.room.subarray(0, batch.used);
      const given = { makings: this.#makings, lines, rows: batch.rows };
      if (writer.appendLines === undefined) await writer.append(effectsOfLines(given));
      else await writer.appendLines(given);
      this.#spare = batch.room;
    }
  }

  #close(): void {
    this.#full.push({ room: this.#room, used: this.#used, rows: this.#rows });
    this.#room = this.#spare ?? Buffer.allocUnsafe(FRAME_BYTES + SLACK_BYTES);
    this.#spare = null;
    this.#used = 0;
    this.#rows = 0;
  }
}
