/**
 * Imports run one way: app -> features -> shared -> envelope -> gen. A feature may use another one only through its index.
 */
import boundaries from "eslint-plugin-boundaries";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

const below = {
  app: ["app", "features", "shared", "envelope", "gen", "testing"],
  features: ["features", "shared", "envelope", "gen", "testing"],
  shared: ["shared", "envelope", "gen", "testing"],
  testing: ["testing", "app", "features", "shared", "envelope", "gen"],
  envelope: ["envelope", "gen"],
};

export default tseslint.config(
  { ignores: ["dist/", "src/gen/", "node_modules/"] },
  ...tseslint.configs.strict,
  ...tseslint.configs.stylistic,
  hooks.configs.flat.recommended,
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: { boundaries },
    settings: {
      "import/resolver": { node: { extensions: [".ts", ".tsx"] } },
      "boundaries/elements": Object.keys(below)
        .concat("gen")
        .map((type) => ({ type, pattern: `src/${type}` })),
    },
    rules: {
      "boundaries/dependencies": [
        "error",
        {
          default: "disallow",
          policies: Object.entries(below).map(([from, to]) => ({
            from: { element: { type: from } },
            allow: to.concat(from).map((type) => ({ to: { element: { type } } })),
          })),
        },
      ],
      "no-restricted-globals": ["error", "event", "name"],
      "@typescript-eslint/consistent-type-definitions": ["error", "interface"],
      // Ids and counts of the protocol are bigint; templates print them well.
      "@typescript-eslint/restrict-template-expressions": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
);
