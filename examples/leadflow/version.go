package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.stdout, versionText())
			return err
		},
	}
}

func versionText() string {
	return fmt.Sprintf("leadflow %s%s, %s, %s/%s", buildVersion(), revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildVersion is the version of the module that the binary was built from.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// revision is the commit that the binary was built from, if it is known.
func revision() string {
	settings := buildSettings()
	commit := settings["vcs.revision"]
	if commit == "" {
		return ""
	}
	text := " (commit " + commit[:min(len(commit), 12)] + " of " + settings["vcs.time"]
	if settings["vcs.modified"] == "true" {
		text += ", with changes"
	}
	return text + ")"
}

// buildSettings are the settings that the go command recorded in the binary.
func buildSettings() map[string]string {
	settings := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
	}
	return settings
}
