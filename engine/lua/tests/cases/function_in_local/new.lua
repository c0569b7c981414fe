local function helper() return "new" end
local function swapped() return "new" end
local function other() return "new other" end
local M = {}
function M.call() return helper() end
function M.call_swapped() return swapped() end
function M.swap() swapped = other end
return M
