package console

import (
	"fmt"
)

// webhooksView is how the hosts of webhooks have answered.
type webhooksView struct {
	Hosts *table
}

func (h *Handler) webhooks(v *visit) error {
	t := v.newTable("Hosts", "No webhook was sent since the program started.", "", "Host", "Last answer", "When", "Took", "#Requests", "#Failures", "Last failure")
	for _, host := range h.config.Webhooks() {
		status := cell{Text: host.Status, Badge: "completed"}
		if host.InARow > 0 {
			if status.Badge = "failed"; host.InARow > 1 {
				status.Note = fmt.Sprintf("%s failures in a row", thousands(host.InARow))
			}
		}
		failure := when(v.at(host.FailedAt), host.FailedAt)
		if failure.Note = host.Failure; host.FailedAt.IsZero() {
			failure = text("none")
		}
		took := cell{Text: span(host.Took), by: key{true, host.Took.Seconds()}}
		t.add(text(host.Name), status, when(v.at(host.At), host.At), took, number(host.Requests), number(host.Failures), failure)
	}
	return v.renderLive("webhooks", "Webhooks", webhooksView{v.sort(t)}, liveSeldom)
}
