import { useMemo } from "react";
import { MarkdownView } from "../../outputs";
import type { Submission } from "../../session";
import { marksOf } from "../model/marks";
import { assistanceOf } from "../model/kernel-assistance";
import { takesTemplates } from "../model/templates";
import type { CellProps } from "./cell-frame";
import { CodeEditor } from "./code-editor";
import { FieldsForm } from "./fields-form";

interface Props extends CellProps {
  editing: boolean;
  executable: boolean;
  options: boolean;
  submission: Submission | undefined;
}

/** The text of a cell and the fields of its type. Markdown shows rendered until it is edited. */
export function CellBody(props: Props) {
  const { cell, at, type, store, editor, session, templates, editing, executable, options, submission } = props;
  const { id } = cell;
  const named = takesTemplates(cell.cellType) ? templates : undefined;
  const rendered = cell.cellType === "markdown" && !editing && cell.source.trim() !== "";
  const isCode = cell.cellType === "python" || cell.cellType === "code";
  const assistance = useMemo(() => (session && isCode ? assistanceOf(session) : undefined), [session, isCode]);
  const marks = useMemo(() => marksOf(submission?.phase === "refused" ? submission.problem : undefined), [submission]);
  if (rendered) {
    return (
      <div
        className="cell__rendered"
        onDoubleClick={() => {
          editor.select(id, "edit");
        }}
      >
        <MarkdownView source={cell.source} />
      </div>
    );
  }
  const run = (): void => {
    if (executable) editor.run(id);
    else editor.select(id, "command");
  };
  return (
    <>
      {type && (
        <FieldsForm
          schemaJson={type.formSchemaJson}
          fieldsJson={cell.fieldsJson}
          all={options}
          templates={named}
          onChange={(fieldsJson) => {
            store.edit({ kind: "fields", cellId: id, fieldsJson });
          }}
        />
      )}
      <div className="cell__code">
        <CodeEditor
          label={`Source of cell ${at + 1}`}
          language={languageOf(cell.cellType, type?.language)}
          text={cell.source}
          focused={editing}
          readOnly={false}
          assistance={assistance}
          templates={named}
          marks={marks}
          onChange={(source) => {
            store.edit({ kind: "source", cellId: id, source });
          }}
          onFocus={() => {
            editor.select(id, "edit");
          }}
          onRun={run}
          onRunAndAdvance={() => {
            editor.runAndAdvance(id);
          }}
          onRunAndInsert={() => {
            run();
            editor.insert(at + 1);
          }}
          onLeave={() => {
            editor.select(id, "command");
          }}
          onUp={() => {
            editor.step(-1, "edit");
          }}
          onDown={() => {
            editor.step(1, "edit");
          }}
        />
      </div>
    </>
  );
}

function languageOf(cellType: string, language: string | undefined): string {
  return language || (cellType === "code" ? "python" : cellType);
}
