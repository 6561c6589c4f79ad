# What pROC says of proc_scores.csv, as proc.csv: `Rscript tests/analysis/reference/proc.R [folder to write to]`.
# Debian: apt-get install r-cran-proc. The two commands that made the stored files are this one and proc_scores.py.
suppressPackageStartupMessages(library(pROC))

words <- commandArgs(trailingOnly = FALSE)
here <- dirname(sub("^--file=", "", grep("^--file=", words, value = TRUE)))
out <- c(commandArgs(trailingOnly = TRUE), here)[1]
scores <- read.csv(file.path(here, "proc_scores.csv"))
models <- setdiff(names(scores), "label")
resamples <- 4000

rows <- list()
add <- function(what, first, second, value)
  rows[[length(rows) + 1]] <<- data.frame(what = what, first = first, second = second, value = sprintf("%.17g", value))

# The direction is named: pROC would turn a model below one half around.
curves <- lapply(scores[models], function(x) roc(scores$label, x, levels = c(0, 1), direction = "<", quiet = TRUE))
for (first in models) {
  curve <- curves[[first]]
  add("auroc", first, "", as.numeric(auc(curve)))
  add("variance", first, "", var(curve, method = "delong"))
  interval <- as.numeric(ci.auc(curve, conf.level = 0.95, method = "delong"))
  add("delong_low", first, "", interval[1])
  add("delong_high", first, "", interval[3])
  set.seed(20210404)
  interval <- as.numeric(ci.auc(curve, conf.level = 0.95, method = "bootstrap", boot.n = resamples,
                                boot.stratified = TRUE, progress = "none"))
  add("bootstrap_low", first, "", interval[1])
  add("bootstrap_high", first, "", interval[3])
}
for (i in seq_along(models)) for (j in seq_along(models)) if (i < j) {
  add("covariance", models[i], models[j], cov(curves[[i]], curves[[j]], method = "delong"))
  test <- roc.test(curves[[i]], curves[[j]], method = "delong", paired = TRUE)
  add("z", models[i], models[j], as.numeric(test$statistic))
  add("p_value", models[i], models[j], test$p.value)
}
add("resamples", "", "", resamples)
write.csv(do.call(rbind, rows), file.path(out, "proc.csv"), row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("pROC", packageVersion("pROC"))), file.path(out, "proc_versions.txt"))
