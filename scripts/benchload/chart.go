//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"text/template"
)

// chart is groups of bars, one of each series in a group.
type chart struct {
	file   string
	Title  string
	Unit   string
	Series []string
	Groups []barGroup
}

type barGroup struct {
	Name   string
	Values []float64 // one a series; 0: was not measured
}

// colours of the series, to be told apart on a light and on a dark ground.
var colours = []string{"#2f7ed8", "#e08e0b", "#3a9d5d", "#a64ca6"}

const (
	chartWidth  = 720
	chartHeight = 320
	plotLeft    = 20
	plotTop     = 70
	plotBottom  = 280
)

// writeCharts writes what was measured as one SVG file a chart.
func (r results) writeCharts(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range r.charts() {
		if len(c.Groups) == 0 {
			continue
		}
		svg, err := c.svg()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, c.file), svg, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r results) charts() []chart {
	hls := chart{file: "hls.svg", Title: "HLS over HTTP/1.1: CPU of one request", Unit: "µs",
		Series: []string{"Headwater", "net/http alone", "nginx", "nginx with sendfile"}}
	for _, c := range r.HLS {
		hls.Groups = append(hls.Groups, barGroup{fmt.Sprintf("%s, %.1f KB", c.Object, float64(c.Bytes)/1000),
			[]float64{c.Headwater, c.Bare, c.Nginx, c.Sendfile}})
	}
	publishers := chart{file: "publishers.svg", Title: "Publishers that nobody watches: CPU of one second of one stream", Unit: "ms",
		Series: []string{"Headwater", "kernel alone"}}
	for _, c := range r.Publishers {
		publishers.Groups = append(publishers.Groups, barGroup{strconv.Itoa(c.Headwater.Publishers), []float64{c.Headwater.CPUms, c.Floor.CPUms}})
	}
	cost := chart{file: "viewers-cpu.svg", Title: "HTTP-FLV viewers of one stream: CPU of a GB, by gathering time", Unit: "s"}
	delay := chart{file: "viewers-delay.svg", Title: "HTTP-FLV: median delay of a picture, by gathering time", Unit: "ms"}
	return append([]chart{hls, publishers}, matrixCharts(r.Matrix, cost, delay)...)
}

// matrixCharts has a group for each number of viewers and a series for each gathering
// time.
func matrixCharts(all []fanoutCost, cost, delay chart) []chart {
	series, groups := map[int]int{}, map[int]int{}
	for _, c := range all {
		if _, ok := series[c.GatherMs]; !ok {
			series[c.GatherMs] = len(series)
			cost.Series = append(cost.Series, fmt.Sprintf("%d ms", c.GatherMs))
			delay.Series = cost.Series
		}
		if _, ok := groups[c.Viewers]; !ok {
			groups[c.Viewers] = len(groups)
			cost.Groups = append(cost.Groups, barGroup{Name: fmt.Sprintf("%d viewers", c.Viewers)})
			delay.Groups = append(delay.Groups, barGroup{Name: fmt.Sprintf("%d viewers", c.Viewers)})
		}
		g := groups[c.Viewers]
		cost.Groups[g].Values = append(cost.Groups[g].Values, c.CPUPerGB)
		delay.Groups[g].Values = append(delay.Groups[g].Values, c.DelayP50)
	}
	return []chart{cost, delay}
}

type bar struct {
	X, Y, Width, Height, Middle float64
	Colour, Text                string
}

type label struct {
	X    float64
	Text string
}

type swatch struct {
	X, TextX     float64
	Colour, Text string
}

// svg draws the chart.
func (c chart) svg() ([]byte, error) {
	most := 0.0
	for _, g := range c.Groups {
		for _, v := range g.Values {
			most = max(most, v)
		}
	}
	var d struct {
		chart
		Width, Height, Left, Right, Base int
		Bars                             []bar
		Labels                           []label
		Swatches                         []swatch
	}
	d.chart, d.Width, d.Height, d.Left, d.Right, d.Base = c, chartWidth, chartHeight, plotLeft, chartWidth-plotLeft, plotBottom
	room := float64(chartWidth-2*plotLeft) / float64(len(c.Groups))
	width := room * 0.8 / float64(len(c.Series))
	for i, g := range c.Groups {
		left := plotLeft + room*(float64(i)+0.1)
		d.Labels = append(d.Labels, label{left + room*0.4, g.Name})
		for j, v := range g.Values {
			height := v / most * (plotBottom - plotTop)
			x := left + width*float64(j)
			d.Bars = append(d.Bars, bar{x, plotBottom - height, width * 0.9, height, x + width*0.45, colours[j%len(colours)], short(v)})
		}
	}
	for j, s := range c.Series {
		x := float64(plotLeft + j*160)
		d.Swatches = append(d.Swatches, swatch{x, x + 16, colours[j%len(colours)], s})
	}
	var out bytes.Buffer
	err := chartTemplate.Execute(&out, d)
	return out.Bytes(), err
}

// short shows three digits.
func short(v float64) string {
	if v <= 0 {
		return ""
	}
	digits := max(0, 2-int(math.Floor(math.Log10(v))))
	return strconv.FormatFloat(v, 'f', min(digits, 3), 64)
}

var chartTemplate = template.Must(template.New("chart").Funcs(template.FuncMap{
	"n": func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) },
}).Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" width="{{.Width}}" height="{{.Height}}" font-family="sans-serif" font-size="12" role="img">
<title>{{.Title}}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{{.Left}}" y="24" font-size="15">{{.Title}}, {{.Unit}}</text>
{{range .Swatches}}<rect x="{{n .X}}" y="36" width="11" height="11" fill="{{.Colour}}"/><text x="{{n .TextX}}" y="46">{{.Text}}</text>
{{end}}{{range .Bars}}<rect x="{{n .X}}" y="{{n .Y}}" width="{{n .Width}}" height="{{n .Height}}" fill="{{.Colour}}"/><text x="{{n .Middle}}" y="{{n .Y}}" dy="-4" font-size="11" text-anchor="middle">{{.Text}}</text>
{{end}}<line x1="{{.Left}}" y1="{{.Base}}" x2="{{.Right}}" y2="{{.Base}}" stroke="#444444"/>
{{range .Labels}}<text x="{{n .X}}" y="300" text-anchor="middle">{{.Text}}</text>
{{end}}</svg>
`))
