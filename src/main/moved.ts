/** The note by which a data folder says that its store was moved, or is being moved, to another. */
import { rm } from 'node:fs/promises';
import { isJsonObject, parsedJson } from '../lib/json.ts';
import { Problem } from '../model/problem.ts';
import { readText, writePrivate, type DataFolder } from './folder.ts';

export interface Move {
  /** `moving`: nobody knows from here whether the other store has all of it yet. */
  readonly state: 'moving' | 'moved';
  /** Host and database, for people. */
  readonly to: string;
  readonly at: number;
}

/** Reads the note; undefined where there is none. Problem `store-unusable` where it is none of ours. */
export async function readMove(folder: DataFolder): Promise<Move | undefined> {
  const text = await readText(folder.move);
  if (text === undefined) return undefined;
  const move = parsed(text);
  if (move !== undefined) return move;
  throw new Problem(
    'store-unusable',
    `\`${folder.move}\` is not as \`writegate store migrate\` wrote it; put it back from your copy: it says whether the store in this folder may still be used`,
  );
}

/** Durable when it resolves. */
export async function writeMove(folder: DataFolder, move: Move): Promise<void> {
  await writePrivate(folder.move, `${JSON.stringify(move)}\n`);
}

/** Takes the note back; idempotent. */
export async function removeMove(folder: DataFolder): Promise<void> {
  await rm(folder.move, { force: true });
}

function parsed(text: string): Move | undefined {
  const note = parsedJson(text);
  if (!isJsonObject(note)) return undefined;
  const { state, to, at } = note;
  if (state !== 'moving' && state !== 'moved') return undefined;
  if (typeof to !== 'string' || typeof at !== 'number') return undefined;
  return { state, to, at };
}
