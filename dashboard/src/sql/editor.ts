/** The SQL editor: CodeMirror, set up. Loaded when the page is first opened. */

import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, type Completion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { PostgreSQL, sql as sqlLanguage } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, Prec, StateEffect, StateField, type Extension } from "@codemirror/state";
import { Decoration, drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder, type DecorationSet } from "@codemirror/view";
import { tags } from "@lezer/highlight";

import type { SqlPlace } from "../api/client";
import type { TableInfo } from "../api/types";
import { allColumns, functions, offsetOf, schemaOf } from "./complete";

export interface EditorOptions {
  parent: HTMLElement;
  text: string;
  tables: readonly TableInfo[];
  onChange: (text: string) => void;
  onRun: () => void;
  /** False when there was nothing to cancel. */
  onCancel: () => boolean;
}

export interface Editor {
  text: () => string;
  setText: (text: string) => void;
  /** Puts text where the cursor is. */
  insert: (text: string) => void;
  setTables: (tables: readonly TableInfo[]) => void;
  /** Marks where the text is wrong, or nothing. */
  mark: (place: SqlPlace | null) => void;
  goTo: (place: SqlPlace) => void;
  focus: () => void;
  destroy: () => void;
}

const setMark = StateEffect.define<{ from: number; to: number } | null>();
const wrong = Decoration.mark({ class: "cm-wrong" });

const marks = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(now, transaction) {
    let next = transaction.docChanged ? Decoration.none : now;
    for (const effect of transaction.effects) {
      if (effect.is(setMark)) next = effect.value === null ? Decoration.none : Decoration.set([wrong.range(effect.value.from, effect.value.to)]);
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--flow)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--archive)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--reject)" },
  { tag: [tags.comment, tags.lineComment, tags.blockComment], color: "var(--ink-3)", fontStyle: "italic" },
  { tag: tags.typeName, color: "var(--ink-2)" },
]);

const look = EditorView.theme({
  "&": { backgroundColor: "transparent", color: "var(--ink)", fontSize: "14px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", minHeight: "132px", maxHeight: "46vh", overflow: "auto" },
  ".cm-content": { padding: "10px 0", caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--ink-3)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--wash) 45%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "var(--flow-2)" },
  ".cm-placeholder": { color: "var(--ink-3)" },
  ".cm-matchingBracket": { backgroundColor: "var(--flow-2)", outline: "none" },
  ".cm-wrong": { textDecoration: "underline wavy var(--reject)", textUnderlineOffset: "4px", backgroundColor: "var(--reject-2)" },
  ".cm-tooltip": { border: "1px solid var(--line-2)", borderRadius: "7px", backgroundColor: "var(--raised)", color: "var(--ink)", boxShadow: "var(--shadow-1)", overflow: "hidden" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "13px", maxHeight: "260px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--flow-2)", color: "var(--ink)" },
  ".cm-completionDetail": { color: "var(--ink-2)", fontStyle: "normal", fontFamily: "var(--sans)", fontSize: "12px" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
});

function language(tables: readonly TableInfo[]): Extension {
  const schema = Object.fromEntries(schemaOf(tables).map(({ table, columns }) => [table.label, { self: table as Completion, children: columns as Completion[] }]));
  const more = [...allColumns(tables), ...functions()] as Completion[];
  return [
    sqlLanguage({ dialect: PostgreSQL, schema, upperCaseKeywords: true }),
    PostgreSQL.language.data.of({
      autocomplete: (context: { matchBefore: (pattern: RegExp) => { from: number; text: string } | null; explicit: boolean }) => {
        const word = context.matchBefore(/[\w$]+/);
        if (word === null && !context.explicit) return null;
        // Behind a point the schema of that table is proposed already.
        if (context.matchBefore(/\.[\w$]*/) !== null) return null;
        return word === null ? null : { from: word.from, options: more, validFor: /^[\w$]*$/ };
      },
    }),
  ];
}

export function createEditor({ parent, text, tables, onChange, onRun, onCancel }: EditorOptions): Editor {
  const known = new Compartment();
  const run = (): boolean => {
    onRun();
    return true;
  };
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run }, { key: "Shift-Enter", run }])),
        lineNumbers(),
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        autocompletion({ icons: false }),
        syntaxHighlighting(colours),
        known.of(language(tables)),
        marks,
        look,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "SQL", spellcheck: "false", autocapitalize: "off" }),
        placeholder("SELECT … — Ctrl-Enter runs it, Ctrl-Space proposes names"),
        // Tab takes what is proposed; Escape and then Tab leaves the editor.
        keymap.of([{ key: "Tab", run: acceptCompletion }, ...completionKeymap, ...closeBracketsKeymap, { key: "Escape", run: onCancel }, ...defaultKeymap, ...historyKeymap, { ...indentWithTab, run: () => false }]),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onChange(update.state.doc.toString());
        }),
      ],
    }),
  });
  return editorOf(view, known);
}

function editorOf(view: EditorView, known: Compartment): Editor {
  const span = (place: SqlPlace): { from: number; to: number } => {
    const all = view.state.doc.toString();
    const from = offsetOf(all, place.line, place.column);
    const end = place.end_line === null || place.end_column === null ? from : offsetOf(all, place.end_line, place.end_column);
    // Without an end, the word that stands there.
    const word = /^\S+?\b/.exec(all.slice(from))?.[0].length ?? 1;
    const to = end > from ? end : Math.min(from + word, all.length);
    return to > from ? { from, to } : { from: Math.max(0, from - 1), to: from };
  };
  return {
    text: () => view.state.doc.toString(),
    setText: (text) => {
      if (text !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    insert: (text) => {
      view.dispatch(view.state.replaceSelection(text));
      view.focus();
    },
    setTables: (tables) => {
      view.dispatch({ effects: known.reconfigure(language(tables)) });
    },
    mark: (place) => {
      const at = place === null ? null : span(place);
      view.dispatch({ effects: setMark.of(at === null || at.to <= at.from ? null : at) });
    },
    goTo: (place) => {
      view.dispatch({ selection: { anchor: span(place).from }, scrollIntoView: true });
      view.focus();
    },
    focus: () => {
      view.focus();
    },
    destroy: () => {
      view.destroy();
    },
  };
}
