import { type ReactNode, useSyncExternalStore } from "react";
import { Link, useLocation } from "wouter";
import { useCurrentUser, useSignOut } from "../features/sign-in";
import { type Theme, chooseTheme, chosenTheme, onThemeChange } from "../shared/theme";
import { Menu } from "../shared/ui";
import { Boundary } from "./boundary";
import "./shell.css";

interface Props {
  /** The workspace's part of the bar on the side. */
  navigation?: ReactNode;
  children: ReactNode;
}

export function Shell({ navigation, children }: Props) {
  const [path] = useLocation();
  return (
    <div className="shell">
      <a className="shell__skip" href="#content">
        Skip to the content
      </a>
      <header className="shell__bar">
        <Link href="/" className="shell__brand" aria-label="SPIN: your workspaces">
          <img src="/icon.svg" alt="" width="26" height="26" />
          <span>SPIN</span>
        </Link>
        {navigation}
        <AccountMenu />
      </header>
      <main className="shell__content" id="content" tabIndex={-1}>
        <Boundary key={path}>{children}</Boundary>
      </main>
    </div>
  );
}

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

function AccountMenu() {
  const user = useCurrentUser();
  const signOut = useSignOut();
  const [, navigate] = useLocation();
  const next = NEXT[useSyncExternalStore(onThemeChange, chosenTheme)];
  return (
    <div className="shell__account">
      <Menu
        label="Account"
        items={[
          {
            label: "Your account",
            act: () => {
              navigate("/account");
            },
          },
          {
            label: `Colours: ${next === "system" ? "as the system" : next}`,
            act: () => {
              chooseTheme(next);
            },
          },
          {
            label: "Sign out",
            act: () => {
              void signOut().then(() => {
                navigate("/");
              });
            },
          },
        ]}
      >
        <span className="shell__user">{user.data?.displayName || user.data?.email || "Account"}</span>
      </Menu>
    </div>
  );
}
