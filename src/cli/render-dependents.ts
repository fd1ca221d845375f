import { inert } from '../lib/terminal.ts';
import type { Dependent, DependentsView, StructureNode } from '../model/dependents.ts';
import { paragraph, type Look } from './look.ts';

/** Lays out what depends on a resource as two trees: the target's own, and that of the policy. */
export function dependentsLines(view: DependentsView, look: Look): readonly string[] {
  const { target, resource, structure, dependents, coupling } = view;
  const { paint } = look;
  const share = `${Math.round(coupling * 100)} %`;
  return [
    paint.bold(inert(`${resource} on ${target}`)),
    '',
    paint.dim('In the target:'),
    ...inTarget(look, structure),
    '',
    paint.dim('By the policy (dependents):'),
    ...(dependents.length === 0
      ? ['  nothing: the policy names no dependent of it']
      : remoteLines(look, dependents, null, '  ')),
    '',
    ...paragraph(
      look,
      `Its dependents bring the coupling of a write to it to ${share}; what the write changes along with it comes on top.`,
    ),
  ];
}

function inTarget(look: Look, structure: DependentsView['structure']): readonly string[] {
  if (structure === null) return ['  the target does not tell'];
  if (structure.length === 0) return ['  nothing'];
  return structureLines(look, structure, '  ');
}

function structureLines(
  look: Look,
  nodes: readonly StructureNode[],
  indent: string,
): readonly string[] {
  return nodes.flatMap(({ kind, name, resource, nodes: below }, index) => {
    const { head, rest } = branch(indent, index === nodes.length - 1);
    const leads = resource === null || resource.endsWith(`.${name}`) ? '' : ` → ${resource}`;
    const text = resource !== null && leads === '' ? resource : `${name}${leads}`;
    return [...node(look, head, rest, `${kind} ${text}`), ...structureLines(look, below, rest)];
  });
}

function remoteLines(
  look: Look,
  dependents: readonly Dependent[],
  via: string | null,
  indent: string,
): readonly string[] {
  const here = dependents.filter((each) => each.via === via);
  return here.flatMap(({ name, criticality, how }, index) => {
    const { head, rest } = branch(indent, index === here.length - 1);
    const about = how === null ? '' : `, ${how}`;
    const own = node(look, head, rest, `${name}  ${criticality}${about}`);
    return own.concat(remoteLines(look, dependents, name, rest));
  });
}

function branch(indent: string, isLast: boolean): { readonly head: string; readonly rest: string } {
  return {
    head: `${indent}${isLast ? '└ ' : '├ '}`,
    rest: `${indent}${isLast ? '  ' : '│ '}`,
  };
}

function node(look: Look, head: string, rest: string, text: string): string[] {
  const [first = '', ...more] = paragraph(look, text, { indent: rest });
  return [head + first.slice(rest.length), ...more];
}
