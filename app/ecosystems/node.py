"""JavaScript and TypeScript on Node."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated, ToolchainSpec

_JAVASCRIPT = ("js", "jsx", "mjs", "cjs")
_TYPESCRIPT = ("ts", "mts", "cts")
_TESTS = (
    r"\.(?:test|spec|e2e)\.[cm]?[jt]sx?$|(?:^|/)(?:__tests__|tests?|specs?)/.*\.[cm]?[jt]sx?$"
    r"|(?:^|/)test(?:[-_.][^/]*)?\.[cm]?[jt]sx?$|[-_]test\.[cm]?[jt]sx?$"
)

ECOSYSTEM = Ecosystem(
    name="node",
    order=20,
    manifests=("package.json",),
    declared_names=(r'"name"\s*:\s*"([^"\n]{2,200})"',),
    lock_files={
        "package-lock.json": ("package.json",),
        "npm-shrinkwrap.json": ("package.json",),
        "yarn.lock": ("package.json",),
        "pnpm-lock.yaml": ("package.json", "pnpm-workspace.yaml"),
        "bun.lock": ("package.json",),
    },
    generated=(
        Generated(
            anywhere=(
                *("node_modules/", ".npm/", ".pnpm-store/", ".nyc_output/", "*.tsbuildinfo"),
                *(".eslintcache", ".stylelintcache", ".parcel-cache/", ".next/", ".nuxt/"),
                *(".turbo/", ".svelte-kit/", "npm-debug.log*", "yarn-debug.log*"),
                "yarn-error.log*",
            ),
            beside=("coverage/", "dist/", "build/", ".yarn/cache/", ".yarn/install-state.gz"),
            manifests=("package.json",),
        ),
    ),
    dependency_files=(
        *("package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", ".nvmrc"),
        *("yarn.lock", ".yarnrc", ".yarnrc.yml", "pnpm-lock.yaml", "pnpm-workspace.yaml"),
        "bun.lock*",
    ),
    fetch_commands={
        "npm": ("ci", "install", "i"),
        "pnpm": ("install", "i"),
        "yarn": ("install",),
    },
    toolchains=(
        ToolchainSpec(
            "node",
            program="node",
            ask=("-p", "process.execPath"),
            parts=("bin", "include", "lib", "share"),
            caches={"YARN_GLOBAL_FOLDER": "@/yarn"},
        ),
    ),
    # Yarn 2 and newer reads only its own variables.
    proxy_variables=("YARN_HTTP_PROXY", "YARN_HTTPS_PROXY"),
    ca_variables=("NODE_EXTRA_CA_CERTS", "npm_config_cafile"),
    setup_environment={
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_update_notifier": "false",
        "NO_UPDATE_NOTIFIER": "1",
        "YARN_ENABLE_TELEMETRY": "0",
        # Milliseconds: the proxy may wait for a registry that is busy, longer than Yarn would.
        "YARN_HTTP_TIMEOUT": "180000",
        "npm_config_fetch_timeout": "300000",
        "NEXT_TELEMETRY_DISABLED": "1",
        "NUXT_TELEMETRY_DISABLED": "1",
        "ASTRO_TELEMETRY_DISABLED": "1",
        "GATSBY_TELEMETRY_DISABLED": "1",
        "STORYBOOK_DISABLE_TELEMETRY": "1",
        "TURBO_TELEMETRY_DISABLED": "1",
        "NG_CLI_ANALYTICS": "false",
        "CHECKPOINT_DISABLE": "1",
        "DISABLE_OPENCOLLECTIVE": "1",
        "HUSKY": "0",
    },
    no_downloads={
        "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1",
        "PUPPETEER_SKIP_DOWNLOAD": "1",
        "PUPPETEER_SKIP_CHROMIUM_DOWNLOAD": "1",
        "CYPRESS_INSTALL_BINARY": "0",
        "ELECTRON_SKIP_BINARY_DOWNLOAD": "1",
        "CHROMEDRIVER_SKIP_DOWNLOAD": "true",
        "GECKODRIVER_SKIP_DOWNLOAD": "true",
    },
    registry="npm",
    suffixes={
        **dict.fromkeys(_JAVASCRIPT, "javascript:JavaScriptReader"),
        **dict.fromkeys(_TYPESCRIPT, "javascript:TypeScriptReader"),
        "tsx": "javascript:TsxReader",
    },
    test_paths=dict.fromkeys((*_JAVASCRIPT, *_TYPESCRIPT, "tsx"), _TESTS),
    helper_paths=r"(?:^|/)(?:__mocks__|__fixtures__)/",
    test_folders=(
        r"tests?|specs?|__tests__|__mocks__|__fixtures__|__snapshots__|__image_snapshots__"
        r"|e2e|cypress"
    ),
    runners=frozenset(
        {"node", "npm", "npx", "pnpm", "yarn", "jest", "vitest", "mocha", "ava", "tap", "tape"}
    ),
    shadows=r"(?:^|/)node_modules/",
    runner_config=(
        r"(?:^|/)(?:jest|vitest|vite|karma|playwright|cypress|ava|wdio)"
        r"\.(?:config|conf|setup)\b[^/]*$"
        r"|(?:^|/)\.mocharc[^/]*$|(?:^|/)(?:test[-_]?setup|setupTests)\.[jt]sx?$"
    ),
    runner_files=(
        r"(?:^|/)(?:(?:jest|vitest|mocha|ava|karma|playwright|cypress|wdio)[.-](?:setup|global)"
        r"|vitest\.workspace|\.nycrc|\.c8rc|\.taprc|mocha\.opts|\.prettierrc|prettier\.config)[^/]*$"
    ),
    mixed={
        r"package\.json": "package_json",
        r"package-lock\.json|npm-shrinkwrap\.json": "package_lock",
        r"pnpm-lock\.yaml": "pnpm_lock",
        r".*\.[cm]?[jt]sx?": "in_source_tests",
    },
    lint_config=(
        r"(?:^|/)(?:\.eslintrc[^/]*|eslint\.config\.[^/]*|\.eslintignore|biome\.jsonc?"
        r"|\.prettierignore)$"
    ),
    command_files=r"(?:^|/)package\.json$",
    config_formats={
        r"package\.json|\.eslintrc(?:\.json)?|\.nycrc(?:\.json)?": "json",
        r"tsconfig[\w.-]*\.json|\.c8rc(?:\.json)?|\.mocharc\.json|biome\.json": "json",
        r"\.nycrc\.ya?ml|\.mocharc\.ya?ml|\.eslintrc\.ya?ml": "yaml",
        r"\.nvmrc|\.node-version": "toolchain",
    },
    verifiers=(
        "node:Node",
        "jest:Jest",
        "vitest:Vitest",
        "mocha:Mocha",
        "ava:Ava",
        "ava:Tap",
        "ava:Tape",
        "npm:Npm",
    ),
    checks=("eslint:Eslint", "prettier:Prettier", "tsc:Tsc"),
)
