"use strict";
// Draws the page from the data embedded in it. The state of the view is kept in the
// fragment of the URL, so that it survives a reload.
(() => {
	const read = id => JSON.parse(document.getElementById(id).textContent);
	const data = read("data");
	const $ = id => document.getElementById(id);
	const heatmapBox = $("heatmap"), metricBox = $("metric"), cellBox = $("cell"), panel = $("panel");
	const placeholder = cellBox.textContent;
	const small = matchMedia("(pointer: coarse), (max-width: 40rem)"); // a tooltip would hide the heatmap
	const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
	const encode = echarts.format.encodeHTML;
	const axes = data.view || { x: { name: "num_ctx", values: data.ctx.map(String) }, y: { name: "num_batch", values: data.batch.map(String) }, rest: [] };
	const rows = axes.y.values.length, columns = axes.x.values.length;
	// Cells are in column order: all rows of a column together, and all combinations of the other axes
	// of a place. shown holds the index of the cell that each place shows.
	const combinations = axes.rest.reduce((n, a) => n * a.values.length, 1);
	const restBoxes = [...document.querySelectorAll("select.rest")];
	let shown = [];
	const indexOf = (x, y) => shown[x * rows + y];
	const state = new URLSearchParams(location.hash.slice(1));
	let chosen = -1; // index of a cell

	function remember(name, value) {
		if (value === null) state.delete(name);
		else state.set(name, value);
		history.replaceState(null, "", "#" + state);
	}

	// textOn returns the colour of letters on a background: white where it is dark.
	function textOn(rgb) {
		const [r, g, b] = rgb.match(/\d+/g).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.25 ? "#fff" : "#000";
	}

	// heat returns the colour at a position on the scale, from 0 to 1.
	function heat(scale, share) {
		const at = Math.min(Math.max(share, 0), 1) * (scale.length - 1), low = Math.min(Math.floor(at), scale.length - 2);
		const part = i => [1, 3, 5].map(k => parseInt(scale[i].slice(k, k + 2), 16));
		const from = part(low), to = part(low + 1);
		return "rgb(" + from.map((v, k) => Math.round(v + (at - low) * (to[k] - v))).join(",") + ")";
	}

	// pick chooses the cell of each place: the fastest of those with the selected values or, where none
	// has a rate, the one that says most of the place.
	function pick() {
		const allowed = [], standing = { none: 0, pruned: 1, failed: 2, missing: 3, measured: 4 };
		for (let k = 0; k < combinations; k++) {
			let left = k, fits = true;
			for (let a = axes.rest.length - 1; a >= 0; a--) {
				const n = axes.rest[a].values.length, wanted = restBoxes[a].value;
				fits = fits && (wanted === "" || Number(wanted) === left % n);
				left = Math.floor(left / n);
			}
			if (fits) allowed.push(k);
		}
		const better = (a, b) => standing[a.state] > standing[b.state] || a.state === "measured" && b.state === "measured" && a.values[0] > b.values[0];
		shown = [];
		for (let place = 0; place < rows * columns; place++) {
			let best = place * combinations + allowed[0];
			for (const k of allowed) if (better(data.cells[place * combinations + k], data.cells[best])) best = place * combinations + k;
			shown.push(best);
		}
	}

	let heatmap, lines;

	function drawHeatmap() {
		if (!heatmapBox.clientWidth) return; // there are no cells
		const options = read("heatmap-options");
		const metric = Number(metricBox.value), about = data.metrics[metric];
		const known = data.cells.map(c => c.values ? c.values[metric] : null).filter(v => v !== null);
		let low = Infinity, high = -Infinity;
		for (const v of known) { low = Math.min(low, v); high = Math.max(high, v); }
		if (!known.length) { low = 0; high = 1; }
		if (low === high) high = low + (Math.abs(low) || 1) * 1e-6;

		const width = heatmapBox.parentElement.clientWidth;
		heatmapBox.style.height = Math.min(1100, Math.max(340, 150 + rows * Math.max(11, Math.min(36, 700 / rows)))) + "px";
		if (!heatmap) heatmap = echarts.init(heatmapBox);
		heatmap.resize();
		// Show figures only where they fit.
		const room = (width - 90) / columns, height = (heatmapBox.clientHeight - 150) / rows;
		const figures = room >= 8 * (high.toFixed(about.digits).length + 2) && height >= 15;
		const signs = room >= 7 && height >= 8;
		const scale = options.visualMap.inRange ? options.visualMap.inRange.color : options.visualMap[0].inRange.color;

		options.series[0].data = [];
		shown.forEach(i => {
			const c = data.cells[i];
			if (c.state === "none") return;
			const value = c.values ? c.values[metric] : null, has = value !== null;
			const marks = c.marks || "", item = { cell: i, value: [c.x, c.y, has ? value : 0] };
			const style = { borderColor: color("paper"), borderWidth: room > 5 ? 0.5 : 0 };
			let ground;
			if (has) {
				ground = heat(scale, (value - low) / (high - low));
			} else {
				item.visualMap = false;
				style.color = color(c.state === "failed" || c.state === "pruned" ? "failed" : "missing");
			}
			item.rank = i === chosen ? 5 : marks.includes("★") ? 4 : marks.includes("◎") ? 3 : c.state === "failed" ? 2 : 1;
			if (c.state === "failed") Object.assign(style, { borderColor: color("red"), borderType: "dashed", borderWidth: room > 12 ? 1 : 0 });
			if (marks.includes("◎")) Object.assign(style, { borderColor: color("blue"), borderType: "dashed", borderWidth: room > 12 ? 3 : 2 });
			if (marks.includes("★")) Object.assign(style, { borderColor: color("blue"), borderType: "solid", borderWidth: room > 12 ? 3 : 2 });
			if (i === chosen) Object.assign(style, { borderColor: color("ink"), borderType: "solid", borderWidth: 3 });
			item.itemStyle = style;
			const text = [signs ? marks : "", has && figures ? value.toFixed(about.digits) : ""].filter(Boolean).join(" ");
			if (text) item.label = { show: true, formatter: text, color: has ? textOn(ground) : c.state === "failed" ? color("red") : color("ink"), fontSize: height < 15 ? 9 : 11 };
			options.series[0].data.push(item);
		});
		// Draw cells with an outline last, so that it covers the edges of their neighbours.
		options.series[0].data.sort((a, b) => a.rank - b.rank);
		options.visualMap = [].concat(options.visualMap).map(v => ({
			...v, show: known.length > 0, min: low, max: high, precision: about.digits, textStyle: { color: color("ink") }, seriesIndex: 0,
		}));
		options.tooltip.formatter = p => p.data && p.data.cell !== undefined ? data.cells[p.data.cell].text.map(encode).join("<br>") : "";
		Object.assign(options.tooltip, tooltipLook());
		options.tooltip.show = !small.matches; // the panel has the same text
		paintAxes(options);
		// Label every n-th row, so that labels don't overlap.
		for (const axis of [].concat(options.yAxis)) axis.axisLabel.interval = Math.max(0, Math.ceil(13 / height) - 1);
		options.series[0].progressive = 0; // draw all at once, to keep the order
		heatmap.setOption(options);
	}

	function tooltipLook() {
		return {
			backgroundColor: color("ground"), borderColor: color("line"), textStyle: { color: color("ink") },
			confine: true, extraCssText: "max-width: min(34rem, 90vw); white-space: normal;",
		};
	}

	function paintAxes(options) {
		for (const axis of [].concat(options.xAxis, options.yAxis)) {
			axis.axisLabel = { ...axis.axisLabel, color: color("ink"), hideOverlap: true };
			axis.nameTextStyle = { color: color("ink") };
			axis.axisLine = { lineStyle: { color: color("line") } };
			axis.splitLine = { show: axis.type === "value", lineStyle: { color: color("line") } };
		}
	}

	function drawLines() {
		if (!$("lines").clientWidth) return; // there are no lines
		const options = read("lines-options");
		const types = ["solid", "dashed", "dotted"], symbols = ["circle", "rect", "triangle", "diamond", "emptyCircle", "emptyRect", "emptyTriangle", "emptyDiamond"];
		const bars = [];
		(options.series || []).forEach((s, i) => {
			s.symbol = symbols[i % symbols.length];
			s.lineStyle = { type: types[i % types.length], width: 2 };
			s.connectNulls = false;
			const x = axes.x.values.indexOf(s.name.slice(axes.x.name.length + 1));
			const intervals = [];
			for (let y = 0; y < rows; y++) {
				const c = data.cells[indexOf(x, y)];
				if (axes.rest.length) s.data[y] = { value: c.values ? c.values[0] : "-" };
				if (c.interval) intervals.push([y, ...c.interval]);
			}
			if (intervals.length) bars.push({ type: "custom", name: s.name, data: intervals, renderItem: drawBar, encode: { x: 0, y: [1, 2] }, tooltip: { show: false }, z: 1, silent: true });
		});
		options.series = (options.series || []).concat(bars);
		Object.assign(options.tooltip, tooltipLook());
		if (small.matches) Object.assign(options.tooltip, { confine: false, position: [0, "97%"] }); // below the lines
		options.tooltip.valueFormatter = v => typeof v === "number" ? v.toFixed(1) + " tokens/s" : "–";
		Object.assign(options.legend, { textStyle: { color: color("ink") }, pageTextStyle: { color: color("ink") }, pageIconColor: color("ink"), inactiveColor: color("soft") });
		const kept = state.get("lines"), valueOf = name => name.slice(axes.x.name.length + 1);
		if (kept !== null) for (const name in options.legend.selected) options.legend.selected[name] = kept.split(",").includes(valueOf(name));
		paintAxes(options);
		if (!lines) {
			lines = echarts.init($("lines"));
			lines.on("legendselectchanged", e => remember("lines", Object.keys(e.selected).filter(n => e.selected[n]).map(valueOf).join(",")));
		}
		lines.resize();
		lines.setOption(options);
	}

	function drawBar(params, api) {
		const low = api.coord([api.value(0), api.value(1)]), high = api.coord([api.value(0), api.value(2)]), cap = 5;
		const style = { stroke: api.visual("color"), lineWidth: 1.5 };
		const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style });
		return { type: "group", children: [
			line(low[0], low[1], high[0], high[1]),
			line(low[0] - cap, low[1], low[0] + cap, low[1]),
			line(high[0] - cap, high[1], high[0] + cap, high[1]),
		] };
	}

	function choose(i) {
		chosen = i;
		const c = data.cells[i];
		cellBox.textContent = c.text.join("\n");
		remember("cell", axes.x.values[c.x] + "," + axes.y.values[c.y]);
		drawHeatmap();
		panel.classList.add("chosen");
		panel.scrollTop = 0;
	}

	// uncover scrolls so that the panel does not cover the selected cell.
	function uncover() {
		if (!small.matches) return;
		const { x, y } = data.cells[chosen], middle = heatmap.convertToPixel({ gridIndex: 0 }, [x, y])[1];
		const half = Math.abs(heatmap.convertToPixel({ gridIndex: 0 }, [x, 1])[1] - heatmap.convertToPixel({ gridIndex: 0 }, [x, 0])[1]) / 2;
		const under = heatmapBox.getBoundingClientRect().top + middle + half - panel.getBoundingClientRect().top;
		if (under > 0) scrollBy(0, under + 8);
	}

	function unchoose() {
		chosen = -1;
		cellBox.textContent = placeholder;
		panel.classList.remove("chosen");
		remember("cell", null);
		drawHeatmap();
	}
	$("close").addEventListener("click", unchoose);
	addEventListener("keydown", e => { if (e.key === "Escape" && chosen >= 0 && small.matches) unchoose(); });

	const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
	heatmapBox.addEventListener("keydown", e => {
		if (!data.cells.length || e.ctrlKey || e.metaKey || e.altKey) return;
		const at = chosen < 0 ? null : data.cells[chosen];
		let x, y;
		if (e.key === "Home") [x, y] = [0, at ? at.y : 0];
		else if (e.key === "End") [x, y] = [columns - 1, at ? at.y : 0];
		else if (!(e.key in steps)) return;
		else if (!at) [x, y] = [0, 0];
		else [x, y] = [at.x + steps[e.key][0], at.y + steps[e.key][1]];
		e.preventDefault();
		if (x >= 0 && x < columns && y >= 0 && y < rows) { choose(indexOf(x, y)); uncover(); }
	});

	// The table sorts by numbers; empty cells come last.
	const table = $("frontier"), heads = [...table.querySelectorAll("th")];
	function sortBy(column, descending) {
		heads.forEach((th, i) => i === column ? th.setAttribute("aria-sort", descending ? "descending" : "ascending") : th.removeAttribute("aria-sort"));
		const body = table.tBodies[0], figure = tr => tr.cells[column].textContent;
		[...body.rows].sort((a, b) => {
			const [p, q] = [figure(a), figure(b)];
			if (!p || !q) return !p - !q;
			return (isNaN(p - q) ? p.localeCompare(q) : p - q) * (descending ? -1 : 1);
		}).forEach(tr => body.append(tr));
		remember("sort", column + (descending ? "d" : "a"));
	}
	heads.forEach((th, i) => th.firstElementChild.addEventListener("click", () => sortBy(i, th.getAttribute("aria-sort") === "ascending")));

	$("copy").addEventListener("click", async () => {
		const csv = [...table.rows].map(tr => [...tr.cells].map(c => c.textContent).join(",")).join("\n") + "\n";
		let done = false;
		try { await navigator.clipboard.writeText(csv); done = true; } catch { // some browsers don't allow it in local files
			const area = document.createElement("textarea");
			area.value = csv;
			document.body.append(area);
			area.select();
			done = document.execCommand("copy");
			area.remove();
		}
		$("copied").textContent = done ? "copied" : "the browser does not allow copying; the same table is in frontier.csv";
	});

	metricBox.addEventListener("change", () => { remember("metric", metricBox.value); drawHeatmap(); });
	restBoxes.forEach((box, i) => {
		const name = "of-" + axes.rest[i].name;
		box.addEventListener("change", () => {
			remember(name, box.value === "" ? null : axes.rest[i].values[box.value]);
			const at = chosen < 0 ? null : data.cells[chosen];
			pick();
			if (at) choose(indexOf(at.x, at.y));
			else drawHeatmap();
			drawLines();
		});
		const before = axes.rest[i].values.indexOf(state.get(name));
		if (before >= 0) box.value = before;
	});
	let waiting;
	addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 100); });
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
	small.addEventListener("change", drawAll);
	addEventListener("beforeprint", drawAll);

	function drawAll() { drawHeatmap(); drawLines(); }

	if (data.metrics[state.get("metric")]) metricBox.value = state.get("metric");
	pick();
	drawAll();
	if (heatmap) heatmap.on("click", p => { if (p.data && p.data.cell !== undefined) { choose(p.data.cell); uncover(); } });
	const before = (state.get("cell") || "").split(",");
	const [x, y] = [axes.x.values.indexOf(before[0]), axes.y.values.indexOf(before[1])];
	if (x >= 0 && y >= 0) choose(indexOf(x, y));
	const sorted = /^(\d+)([ad])$/.exec(state.get("sort") || "");
	if (sorted && heads[sorted[1]]) sortBy(Number(sorted[1]), sorted[2] === "d");

	// A running sweep keeps rewriting the page. One that is incomplete and has no new
	// sample for an hour is not running.
	if (data.grows && Date.now() - data.newest < 3600e3) {
		$("live").hidden = false;
		setTimeout(() => location.reload(), 5000);
	}
})();
