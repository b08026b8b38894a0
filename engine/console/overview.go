package console

import "net/url"

// overviewView is the first page.
type overviewView struct {
	Workflows *table
}

// mostWorkflows is how many workflows a list shows on one page.
const mostWorkflows = 50

func (h *Handler) overview(v *visit) error {
	page := overviewView{}
	var err error
	if page.Workflows, err = v.workflows(url.Values{}); err != nil {
		return err
	}
	return v.renderLive("overview", "Overview", page, liveSeldom)
}
