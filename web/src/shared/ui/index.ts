import "./ui.css";

export { Button } from "./button";
export { CopyButton, Copyable } from "./copy";
export { Dialog } from "./dialog";
export { Field, SelectField, TextField } from "./field";
export { Menu, type MenuItem } from "./menu";
export { Notice, ProblemNotice, ProblemText } from "./notice";
export { Empty, Loading, Status, type Tone } from "./states";
export { type Suggest, type Suggestion, SuggestingField } from "./suggesting-field";
export { type Tab, Tabs } from "./tabs";
