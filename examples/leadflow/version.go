package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

var versionCommand = command{
	name:    "version",
	summary: "print the version",
	define: func(*flags) func(context.Context, *program, []string) error {
		return func(_ context.Context, p *program, args []string) error {
			if len(args) > 0 {
				return usage("takes no arguments, and got %q", args)
			}
			_, err := fmt.Fprintf(p.stdout, "leadflow %s%s, %s, %s/%s\n", buildVersion(), revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		}
	},
}

// buildVersion is the version of the module that the binary was built from.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// revision is the commit that the binary was built from, where the build knew.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
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
