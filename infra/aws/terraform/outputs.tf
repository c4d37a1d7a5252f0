output "url" {
  description = "Where the gateway is."
  value       = aws_lambda_function_url.gateway.function_url
}

output "function_name" {
  description = "For invocations by other means: API Gateway, an ALB."
  value       = aws_lambda_function.gateway.function_name
}
