package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (p *program) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man [DIRECTORY]", Short: "Write the man pages", Args: wants(0, 1, "takes one directory at most"), DisableFlagsInUseLine: true,
		Long: `Write a man page for each command into a directory, or print the one of leadflow itself.`,
		Example: `  leadflow man | man -l -
  mkdir -p ~/.local/share/man/man1 && leadflow man ~/.local/share/man/man1`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: "1", Source: "leadflow " + buildVersion(), Manual: "leadflow"}
			if built, err := time.Parse(time.RFC3339, buildSettings()["vcs.time"]); err == nil {
				header.Date = &built // so that the same binary writes the same pages
			}
			if len(args) == 0 {
				return doc.GenMan(root, header, p.stdout)
			}
			if info, err := os.Stat(args[0]); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s does not exist; make the directory first", args[0])
			} else if err != nil {
				return err
			} else if !info.IsDir() {
				return fmt.Errorf("%s is not a directory", args[0])
			}
			return doc.GenManTree(root, header, args[0])
		},
	}
}

func (p *program) completionCommand() *cobra.Command {
	shells := map[string]func(root *cobra.Command) error{
		"bash":       func(root *cobra.Command) error { return root.GenBashCompletionV2(p.stdout, true) },
		"zsh":        func(root *cobra.Command) error { return root.GenZshCompletion(p.stdout) },
		"fish":       func(root *cobra.Command) error { return root.GenFishCompletion(p.stdout, true) },
		"powershell": func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(p.stdout) },
	}
	names := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Print a script for shell completion of commands and flags",
		Args: wants(1, 1, "needs a shell: bash, zsh, fish or powershell"), DisableFlagsInUseLine: true, ValidArgs: names,
		Example: `  bash:        source <(leadflow completion bash)
  zsh:         source <(leadflow completion zsh)      after compinit
  fish:        leadflow completion fish | source
  powershell:  leadflow completion powershell | Out-String | Invoke-Expression`,
		RunE: func(c *cobra.Command, args []string) error {
			script, ok := shells[args[0]]
			if !ok {
				return &codeError{exitUsage, errors.New("the shell must be one of bash, zsh, fish, powershell" + didYouMean(args[0], names))}
			}
			return script(c.Root())
		},
	}
}
