local function helper() return "old" end
local function swapped() return "old" end
local function other() return "old other" end
local M = {}
function M.call() return helper() end
function M.call_swapped() return swapped() end
function M.swap() swapped = other end
return M
